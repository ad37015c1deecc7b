//! What archives of every format share: the bounds on them, what becomes of the content
//! of their members and of their paths, and the root that they are gathered in.

mod collect;
mod error;
mod keep;
mod names;
mod path;

pub(crate) use collect::Collector;
pub use error::MemberError;
pub(crate) use error::{DAMAGED, refused, shown};
pub(crate) use keep::{Keep, KeepError, store};
pub use path::{MAX_NAME, MAX_PATH};
pub(crate) use path::{check_path, join};

/// Bounds on what one archive may unpack to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All content together, in bytes.
    pub total: u64,
    /// How many members.
    pub members: u64,
    /// Whether device nodes and named pipes may be among them.
    pub devices: bool,
    /// Whether a later member may take the place of an earlier one of its name, as `tar -r`
    /// leaves them and unpacking has it. Packages have each name once.
    pub twice: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            total: 8 << 30,
            members: 500_000,
            devices: false,
            twice: false,
        }
    }
}
