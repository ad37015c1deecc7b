//! What every sandbox must hold to, tried from inside with a program of the suite's
//! own. The suite knows a sandbox only by its trait.
//!
//! It needs a C compiler with a static C library (Debian: `gcc`, `libc6-dev`). As root
//! it runs a second time as an ordinary user.

/// Runs tests, functions that take a bench, in every sandbox that there is.
macro_rules! in_every_sandbox {
    ($($test:ident),* $(,)?) => {
        mod native {
            $(#[test]
            fn $test() {
                super::$test(&crate::bench::Bench::new());
            })*
        }
        in_every_sandbox!(docker, "LUNI_TEST_DOCKER_HOST", $($test),*);
        in_every_sandbox!(podman, "LUNI_TEST_PODMAN_HOST", $($test),*);
    };
    ($engine:ident, $variable:literal, $($test:ident),*) => {
        mod $engine {
            $(#[test]
            fn $test() {
                if let Some(bench) = crate::bench::Bench::in_engine($variable) {
                    super::$test(&bench);
                }
            })*
        }
    };
}

mod bench;
mod engines;
mod escapes;
mod full;
mod given;
mod isolation;
mod kept;
mod killed;
mod limits;
mod locale;
mod mixed;
mod network;
mod outputs;
mod own_engine;
mod restarted;
mod surroundings;
mod tls;
mod traced;
mod users;

#[path = "../support/mod.rs"]
mod support;
