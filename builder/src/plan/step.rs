//! The action of a recipe's step.

use std::collections::BTreeMap;

use lunikernel_cache::Tree;
use lunikernel_cache::tree::{Entry, TreeError};

use super::invocation::{Invocation, fixed_environment};
use super::platform::{Network, Platform};
use crate::recipe::{Arch, Step};

/// Where a step's inputs lie: its working directory below the root of the sandbox.
const BUILD: &str = "build";

/// What a step sees beside its command.
#[derive(Debug, Clone, Default)]
pub struct StepInputs {
    /// The toolchain: everything but `/build`.
    pub root: Tree,
    /// What lies in `/build`, by path.
    pub build: BTreeMap<String, Entry>,
}

/// The action that runs `step` on `inputs`. What `network` is says nothing of the step's
/// own wish: a step that may not use it is planned with [`Network::Off`].
///
/// # Errors
/// [`TreeError`] where two inputs stand in each other's way.
pub fn step_action(
    step: &Step,
    arch: Arch,
    inputs: StepInputs,
    network: Network,
) -> Result<Invocation, TreeError> {
    let mut input_root = inputs.root;
    input_root.insert(BUILD, Entry::Folder(Tree::new()))?;
    for (path, entry) in inputs.build {
        input_root.insert(&format!("{BUILD}/{path}"), entry)?;
    }
    // All of it, so that another sandbox, on another machine, need not know it.
    let mut environment = fixed_environment();
    environment.extend(step.env.clone());
    Ok(Invocation {
        arguments: ["/bin/sh", "-euc", &step.run].map(str::to_owned).to_vec(),
        environment,
        working_directory: BUILD.to_owned(),
        outputs: step.outputs.iter().cloned().collect(),
        platform: Platform::new(arch, step.memory_mib, step.processes, network),
        timeout_seconds: step.timeout_seconds,
        input_root,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::SOURCE_DATE_EPOCH;

    #[test]
    fn an_action_has_all_of_the_environment_in_it() {
        let step = "{name: a, root: [tools], run: 'true', outputs: [a], env: {TZ: Z, A: b}}";
        let step: Step = serde_yaml::from_str(step).unwrap();
        let action = step_action(&step, Arch::X86_64, StepInputs::default(), Network::Off);
        let environment = action.unwrap().environment;
        let mut expected = fixed_environment();
        assert_eq!(expected["SOURCE_DATE_EPOCH"], SOURCE_DATE_EPOCH.to_string());
        expected.extend([("TZ", "Z"), ("A", "b")].map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert_eq!(environment, expected);
    }
}
