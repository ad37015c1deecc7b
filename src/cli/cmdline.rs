//! The command line of a kernel, as it is asked for here.

use lunikernel_cache::artefact::Artefact;

/// What the kernel's command line is to be.
#[derive(Debug, clap::Args)]
pub(super) struct CmdlineArgs {
    /// The kernel's command line [default: that of the Lunikernel]
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    cmdline: Option<String>,

    /// More for the kernel's command line
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true)]
    append: Option<String>,
}

impl CmdlineArgs {
    /// The command line that the kernel of `artefact` gets.
    pub(super) fn of(&self, artefact: &Artefact) -> String {
        let own = &artefact.manifest().boot.cmdline;
        let base = self.cmdline.as_ref().unwrap_or(own);
        match &self.append {
            Some(more) if base.is_empty() => more.clone(),
            Some(more) => format!("{base} {more}"),
            None => base.clone(),
        }
    }
}
