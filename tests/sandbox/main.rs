//! What every sandbox must hold to, tried from inside with a program of the suite's
//! own. The suite knows a sandbox only by its trait.
//!
//! It needs a C compiler with a static C library (Debian: `gcc`, `libc6-dev`). As root
//! it runs a second time as an ordinary user.

mod bench;
mod escapes;
mod isolation;
mod kept;
mod limits;
mod locale;
mod outputs;
mod surroundings;
mod traced;
mod users;
