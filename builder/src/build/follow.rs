//! Following the links of what a recipe names, within one source.

/// How many links are followed for one path: as many as Linux does (MAXSYMLINKS).
const MAX_LINKS: usize = 40;
/// How many names, and `.` and `..`, the links of one path may bring in all.
const MAX_PARTS: usize = 4096;

/// What is at a path, as far as the way there is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Folder,
    /// A file, which may be an archive.
    File,
    /// A link, by its target.
    Link(String),
    /// A device or a pipe.
    Special,
}

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Led {
    /// To what is at this path, which has no links; the top is the empty path.
    To(String),
    /// To a file, with this path below it.
    Below { file: String, path: String },
    /// Nowhere: something on the way is not there.
    Nowhere,
}

/// A link that leads to nothing that may be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LinkFlaw {
    /// The link's path.
    pub(super) link: String,
    /// What is written in it.
    pub(super) target: String,
    /// What is wrong. Continues "it is a link to `…`, which ".
    pub(super) why: &'static str,
}

/// Where `path` leads from the top of a source, in which `look` says what is at a path
/// without links. `absolute` says whether targets that begin with `/` begin at the top,
/// as they do in the root file systems of archives; elsewhere they would lead to
/// the machine.
pub(super) fn follow(
    path: &str,
    absolute: bool,
    look: impl Fn(&str) -> Option<Place>,
) -> Result<Led, LinkFlaw> {
    // A reference itself is a plain path.
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Ok(Led::Nowhere);
    }
    let mut here: Vec<String> = Vec::new();
    let mut ahead: Vec<String> = path.rsplit('/').map(str::to_owned).collect();
    let (mut links, mut parts) = (0, 0);
    let mut last: Option<(String, String)> = None;
    let flaw = |(link, target): (String, String), why| LinkFlaw { link, target, why };
    while let Some(part) = ahead.pop() {
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                if here.pop().is_none() {
                    let link = last.unwrap_or_default();
                    return Err(flaw(link, "leads out of the source"));
                }
                continue;
            }
            _ => here.push(part),
        }
        let at = here.join("/");
        match look(&at) {
            Some(Place::Folder) => {}
            Some(Place::File) if !ahead.is_empty() => {
                ahead.reverse();
                let path = ahead.join("/");
                return Ok(Led::Below { file: at, path });
            }
            Some(Place::File) => {}
            Some(Place::Special) if ahead.is_empty() => {}
            Some(Place::Link(target)) => {
                let link = (at, target.clone());
                here.pop();
                if target.starts_with('/') {
                    if !absolute {
                        return Err(flaw(link, "leads out of the source"));
                    }
                    here.clear();
                }
                links += 1;
                parts += target.split('/').count();
                if links > MAX_LINKS || parts > MAX_PARTS {
                    return Err(flaw(link, "leads through too many links"));
                }
                ahead.extend(target.rsplit('/').map(str::to_owned));
                last = Some(link);
            }
            None | Some(Place::Special) => {
                return match last {
                    Some(link) => Err(flaw(link, "leads to nothing that is there")),
                    None => Ok(Led::Nowhere),
                };
            }
        }
    }
    Ok(Led::To(here.join("/")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn places() -> BTreeMap<&'static str, Place> {
        let link = |target: &str| Place::Link(target.to_owned());
        BTreeMap::from([
            ("bzImage", link("bzImage--5.4.bin")),
            ("bzImage--5.4.bin", Place::File),
            ("deep", Place::Folder),
            ("deep/k", link("../bzImage")),
            ("deep/out", link("../../bzImage")),
            ("deep/null", Place::Special),
            ("top", link("deep/..")),
            ("folder", link("deep/")),
            ("abs", link("/deep/k")),
            ("gone", link("deep/none")),
            ("loop", link("loop2")),
            ("loop2", link("loop")),
            ("me", link("me/x")),
        ])
    }

    fn led(path: &str) -> Result<Led, &'static str> {
        let places = places();
        follow(path, false, |at| places.get(at).cloned()).map_err(|flaw| flaw.why)
    }

    #[test]
    fn links_are_followed_within_the_source() {
        for (path, to) in [
            ("bzImage", "bzImage--5.4.bin"),
            ("deep/k", "bzImage--5.4.bin"),
            ("folder/k", "bzImage--5.4.bin"),
            ("folder", "deep"),
            ("top", ""),
            ("top/folder/null", "deep/null"),
        ] {
            assert_eq!(led(path), Ok(Led::To(to.to_owned())), "{path}");
        }
        let below = Led::Below {
            file: "bzImage--5.4.bin".to_owned(),
            path: "a/b".to_owned(),
        };
        assert_eq!(led("deep/k/a/b"), Ok(below));
        for path in ["none", "deep/none", "deep/null/x", "", "deep/../bzImage"] {
            assert_eq!(led(path), Ok(Led::Nowhere), "{path}");
        }
    }

    #[test]
    fn links_that_loop_or_lead_out_or_nowhere_are_refused() {
        for path in ["loop", "me", "me/y"] {
            assert_eq!(led(path), Err("leads through too many links"), "{path}");
        }
        for path in ["deep/out", "abs"] {
            assert_eq!(led(path), Err("leads out of the source"), "{path}");
        }
        for path in ["gone", "gone/x"] {
            assert_eq!(led(path), Err("leads to nothing that is there"), "{path}");
        }
        let long = "x/../".repeat(5000);
        let look = |at: &str| match at {
            "long" => Some(Place::Link(long.clone())),
            _ => Some(Place::Folder),
        };
        assert!(follow("long", false, look).is_err());
    }

    #[test]
    fn in_an_archive_the_top_is_the_root() {
        let places = places();
        let led = follow("abs", true, |at| places.get(at).cloned());
        assert_eq!(led, Ok(Led::To("bzImage--5.4.bin".to_owned())));
    }
}
