//! `luni run`: a Lunikernel, booted here.

mod console;
mod machine;

use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use lunikernel_builder::boot::{
    self, AccelChoice, BootError, BootEvent, BootOutcome, Forward, Machine,
};
use lunikernel_builder::recipe::{self, BootTest, Recipe, RecipeError};
use lunikernel_cache::CacheError;
use lunikernel_cache::artefact::{Artefact, RECIPE};
use serde::Serialize;

use self::console::Keyboard;
use super::cmdline::CmdlineArgs;
use super::{Context, verify};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::paint;

/// Boot a Lunikernel in QEMU or by Solo5's tender.
///
/// What QEMU cannot start itself (multiboot 2) is started by GRUB, from a disc that is made
/// for it as `luni export --to iso` makes one.
///
/// Ends when the machine does, or when all that is expected of it has come. The
/// machine reaches nothing outside; with `--net` its ports are reached from here. Its
/// console is shown, and takes input with `--interactive`. It is stopped where nobody
/// reads on.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The Lunikernel: a zip, its address (file, http or https), or the first digits (at
    /// least 8) of the SHA-256 of one in the cache
    #[arg(value_name = "LUNIKERNEL")]
    artefact: PathBuf,

    /// Wait for a line on the console that has this text in it
    #[arg(long, value_name = "TEXT")]
    expect: Option<String>,

    /// Forward a port of 127.0.0.1 (by default a free one) to one of the machine
    #[arg(long, value_name = "[PORT:]GUESTPORT")]
    net: Vec<ForwardArg>,

    /// How many seconds it may take [default: with --expect 300, with --test what
    /// each test says]
    #[arg(long, value_name = "S")]
    timeout: Option<u64>,

    /// Its memory in MiB [default: what it needs]
    #[arg(long, value_name = "MIB")]
    memory: Option<u32>,

    /// How its processor is provided: by hardware (kvm) or emulation (tcg)
    #[arg(long, value_name = "HOW", default_value = "auto")]
    accel: AccelArg,

    /// Run the tests of its recipe
    #[arg(long, conflicts_with = "expect")]
    test: bool,

    /// Solo5's tender to run a unikernel with [default: the one in PATH]
    #[arg(long, value_name = "PATH")]
    tender: Option<PathBuf>,

    /// Run it by the tender that is in the Lunikernel: a program of its maker's, which
    /// then runs as you
    #[arg(long, conflicts_with = "tender")]
    own_tender: bool,

    /// What a unikernel's device is here: a file for a disk, an interface for a network
    #[arg(long, value_name = "DEVICE=WHAT")]
    attach: Vec<Attach>,

    /// Give its console what is typed here, or what comes through a pipe. Of a terminal all
    /// keys go to it, Ctrl-C too, and it may do to the terminal what it likes: Ctrl-A X ends
    /// it
    #[arg(long, short, conflicts_with = "test")]
    interactive: bool,

    #[command(flatten)]
    cmdline: CmdlineArgs,
}

/// How long an expected line may take, in seconds: what tests of recipes have too.
const PATIENCE: u64 = 300;

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum AccelArg {
    Auto,
    Kvm,
    Tcg,
}

#[derive(Debug, Clone, Copy)]
struct ForwardArg(Forward);

impl FromStr for ForwardArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = |text: &str| {
            text.parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| format!("`{text}` is no port; expected a number from 1 to 65535"))
        };
        let (host, guest) = match text.split_once(':') {
            None => (0, port(text)?),
            Some((host, guest)) => (port(host)?, port(guest)?),
        };
        Ok(Self(Forward { host, guest }))
    }
}

/// A device of a unikernel's, and what it is here.
#[derive(Debug, Clone)]
struct Attach {
    device: String,
    what: String,
}

impl FromStr for Attach {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((device, what)) if !device.is_empty() && !what.is_empty() => Ok(Self {
                device: device.to_owned(),
                what: what.to_owned(),
            }),
            _ => Err("expected a device and what it is: `storage=disk.img`".to_owned()),
        }
    }
}

/// What `--json` prints: one for each boot.
#[derive(Debug, Serialize)]
struct Report {
    test: Option<String>,
    accel: String,
    took_seconds: f64,
    line: Option<String>,
    page: Option<String>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    if args.interactive && context.json() {
        let message = "could not print both a report and a console to work with";
        let hint = "leave out one of `--json` and `--interactive`";
        return Err(Failure::new(Exit::Usage, message).with_hint(hint));
    }
    let artefact = Arc::new(verify::artefact(&args.artefact, context)?);
    let cache = context.cache()?;
    let folder = cache.scratch()?;
    let machine = machine::unpack(&artefact, args, folder.path(), context)?;
    let mut options = boot::Options::new(cache.root());
    options.accel = match args.accel {
        AccelArg::Auto => AccelChoice::Auto,
        AccelArg::Kvm => AccelChoice::Kvm,
        AccelArg::Tcg => AccelChoice::Tcg,
    };
    options.memory_mib = args.memory;
    options.forwards = args.net.iter().map(|forward| forward.0).collect();

    let mut reports = Vec::new();
    if args.test {
        for test in tests(&artefact)? {
            options.expect = Some(test.expect);
            options.http = test.http;
            let seconds = args.timeout.unwrap_or(test.timeout_seconds);
            options.timeout = Some(Duration::from_secs(seconds));
            context.say(&format!("test: {}", test.name));
            let Some(outcome) = boot_once(&machine, &options, context)? else {
                return Ok(Exit::Ok);
            };
            reports.push(report(Some(test.name), outcome, context));
        }
    } else {
        options.expect.clone_from(&args.expect);
        let patience = args.expect.as_ref().map(|_| PATIENCE);
        options.timeout = args.timeout.or(patience).map(Duration::from_secs);
        let keyboard = match args.interactive {
            true => Some(Keyboard::open(context)?),
            false => None,
        };
        options.input = keyboard.as_ref().map(Keyboard::input);
        if keyboard.as_ref().is_some_and(Keyboard::is_typed) {
            context.say("what is typed goes to the machine; Ctrl-A X ends it");
        }
        let outcome = boot_once(&machine, &options, context);
        drop(keyboard);
        let Some(outcome) = outcome? else {
            return Ok(Exit::Ok);
        };
        reports.push(report(None, outcome, context));
    }
    if context.json() {
        context.print_json(&reports)?;
    }
    Ok(Exit::Ok)
}

/// The tests of the recipe that is in the Lunikernel.
fn tests(artefact: &Artefact) -> Result<Vec<BootTest>, Failure> {
    let mut text = Vec::new();
    (artefact.entry(RECIPE)?.take(recipe::MAX_SIZE + 1))
        .read_to_end(&mut text)
        .map_err(CacheError::io("read the recipe in the Lunikernel"))?;
    let label = format!("{}/{RECIPE}", artefact.label());
    let (recipe, ..) = Recipe::from_bytes(&text, &label, None).map_err(|complaints| {
        let path = PathBuf::from(&label);
        RecipeError::Wrong { path, complaints }
    })?;
    if recipe.tests.is_empty() {
        let message = format!("the recipe of {} has no tests", artefact.label());
        return Err(Failure::new(Exit::BadInput, message)
            .with_hint("say what to wait for with `--expect TEXT`"));
    }
    Ok(recipe.tests)
}

/// Boots it; `None` where nobody reads on what it says.
fn boot_once(
    machine: &Machine,
    options: &boot::Options,
    context: &Context,
) -> Result<Option<BootOutcome>, Failure> {
    let mut unshown = None;
    let mut show = |bytes: &[u8]| match context.print_bytes(bytes) {
        Ok(answer) => answer,
        Err(failure) => {
            unshown = Some(failure);
            ControlFlow::Break(())
        }
    };
    let typed = options.input.as_ref().is_some_and(|input| input.typed);
    let outcome = boot::run(machine, options, &mut |event| match event {
        BootEvent::Starting {
            accel,
            why_no_kvm,
            forwards,
        } => {
            if let Some(why) = why_no_kvm {
                // QEMU goes on for lines about itself; `luni doctor` has all of them.
                let why = why.lines().next().unwrap_or_default();
                context.say(&format!("no hardware virtualisation: {why}"));
            }
            context.say(&format!("booting by {accel}"));
            for Forward { host, guest } in forwards {
                context.say(&format!("127.0.0.1:{host} is the machine's port {guest}"));
            }
            ControlFlow::Continue(())
        }
        // With `--json` the report is the data, and the console is for people.
        BootEvent::Line(line) if context.json() => tell(context, line),
        // Whoever types sees it as it comes.
        BootEvent::Line(_) if typed => ControlFlow::Continue(()),
        BootEvent::Line(line) => show(format!("{line}\n").as_bytes()),
        BootEvent::Bytes(bytes) => show(bytes),
    });
    match (outcome, unshown) {
        (_, Some(failure)) => Err(failure),
        // Whoever read the console has seen enough.
        (Err(BootError::BrokenOff), None) => Ok(None),
        (outcome, None) => Ok(Some(outcome.map_err(|error| {
            let failed = error.is_of_guest();
            let failure = Failure::from(error);
            let (given, wanted) = (options.memory_mib, machine.memory_mib);
            match given.filter(|given| failed && *given < wanted) {
                Some(given) => failure.with_hint(format!(
                    "it has {given} MiB and wants {wanted}: leave `--memory` out, or give it more"
                )),
                None => failure,
            }
        })?)),
    }
}

fn report(test: Option<String>, outcome: BootOutcome, context: &Context) -> Report {
    let took_seconds = outcome.took.as_secs_f64();
    let what = match (&test, &outcome.line) {
        (Some(_), _) => "passed",
        (None, Some(_)) => "what was expected came",
        (None, None) => "ended",
    };
    context.say(&format!("{what} after {took_seconds:.1} s"));
    Report {
        test,
        accel: outcome.accel.to_string(),
        took_seconds,
        line: outcome.line,
        page: outcome.page,
    }
}

/// Tells people, and says whether anybody listens on.
fn tell(context: &Context, line: &str) -> ControlFlow<()> {
    match context.quiet() || paint::told(&format!("{line}\n")) {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    }
}
