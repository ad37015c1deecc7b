//! Paths into a recipe: `steps[0].inputs."hello.c"`.

use std::fmt;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// Into a mapping.
    Key(String),
    /// Into a list.
    Index(usize),
}

/// Where something is in a recipe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Path {
    segments: Vec<Segment>,
    of_key: bool,
}

impl Path {
    /// The recipe itself.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The value of `key` in what this leads to.
    pub(crate) fn key(&self, key: &str) -> Self {
        self.with(Segment::Key(key.to_owned()))
    }

    /// The value with that index in what this leads to.
    pub(crate) fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    /// The key rather than its value.
    pub(super) fn of_key(&self) -> Self {
        Self {
            segments: self.segments.clone(),
            of_key: true,
        }
    }

    pub(super) fn is_of_key(&self) -> bool {
        self.of_key
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn with(&self, segment: Segment) -> Self {
        let mut segments = self.segments.clone();
        segments.push(segment);
        Self {
            segments,
            of_key: false,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    let simple = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
                    if !key.is_empty() && key.chars().all(simple) {
                        f.write_str(key)?;
                    } else {
                        write!(f, "{key:?}")?;
                    }
                }
            }
        }
        Ok(())
    }
}
