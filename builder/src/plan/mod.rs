//! Plans: what is to be run, as pure values.
//!
//! An [`Invocation`] says what runs on what, in the words of the Remote Execution
//! API. Making one does no I/O; the digest of its action is the key under which the
//! action cache knows its result, on this machine and on any REAPI server.

mod invocation;
mod pipeline;
mod platform;
mod step;

pub use invocation::{EncodedAction, Invocation, SOURCE_DATE_EPOCH, fixed_environment};
pub use pipeline::{
    PIPELINE, UNPACKED, artefact_action, last_run_action, unpack_action, unpack_apk_action,
    unpack_archive_action, unpack_layer_action,
};
pub use platform::{FixedOutput, Network, Platform, property};
pub use step::{StepInputs, step_action};
