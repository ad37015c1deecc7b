//! `luni`: reproducible builds and images of tiny operating systems.

mod cli;
mod exit;
mod explain;
mod failure;
mod paint;
mod progress;

use std::process::ExitCode;

use rustix::fs::Mode;

fn main() -> ExitCode {
    // A sandbox starts this program again, to set itself up from inside.
    if let Some(code) = lunikernel_builder::sandbox::native::enter_if_asked() {
        return code;
    }
    // What is made must not depend on the user's mask, nor be open to everybody; who may
    // read what the user asked for does depend on it.
    let own = rustix::process::umask(Mode::WGRP | Mode::WOTH);
    lunikernel_cache::mask::keep_to(own.bits());
    let (verb, context) = match cli::parse() {
        Ok(parsed) => parsed,
        Err(usage) => {
            // Nothing is left to be told where even this cannot be written.
            let _ = usage.print();
            return u8::try_from(usage.exit_code()).unwrap_or(1).into();
        }
    };
    let outcome = verb.run(&context);
    context.engine().leave();
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.report(&context);
            failure.exit().into()
        }
    }
}
