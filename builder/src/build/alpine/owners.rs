//! Owners that scripts give to files.
//!
//! In the sandbox there is one user only, so nothing can be given to another. Programs
//! that stand in for `chown` and `chgrp` write down what they were asked for, and it is
//! done to the metadata afterwards.

use std::collections::BTreeMap;

/// Programs that are found before those of the root.
pub(super) const STAND_INS: [(&str, &str); 2] = [
    ("chown", include_str!("chown")),
    ("chgrp", include_str!("chgrp")),
];

/// Numbers of users or groups by their names, as passwd(5) and group(5) have them.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, (u32, Option<u32>)>);

impl Names {
    /// Reads one of the files.
    pub(super) fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            let number = fields.nth(1)?.parse().ok()?;
            Some((
                name,
                (number, fields.next().and_then(|group| group.parse().ok())),
            ))
        };
        Self(text.lines().filter_map(line).collect())
    }

    fn number(&self, word: &str) -> Option<u32> {
        let named = self.0.get(word).map(|(number, _)| *number);
        named.or_else(|| word.parse().ok())
    }
}

/// What `USER`, `USER:GROUP`, `USER:` or `:GROUP` means: the numbers to set.
///
/// # Errors
/// The name that nobody has.
pub(super) fn numbers(
    spec: &str,
    users: &Names,
    groups: &Names,
) -> Result<(Option<u32>, Option<u32>), String> {
    let unknown =
        |kind: &str, name: &str| format!("`{spec}` names the {kind} `{name}`, which is not there");
    let (user, group) = match spec.split_once(':').or_else(|| spec.split_once('.')) {
        Some((user, group)) => (user, Some(group)),
        None => (spec, None),
    };
    let uid = match user {
        "" => None,
        user => Some(users.number(user).ok_or_else(|| unknown("user", user))?),
    };
    let gid = match group {
        None => None,
        // `USER:` is the user's own group.
        Some("") => users.0.get(user).and_then(|(_, group)| *group),
        Some(group) => Some(
            groups
                .number(group)
                .ok_or_else(|| unknown("group", group))?,
        ),
    };
    Ok((uid, gid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_found_by_name_and_number() {
        let users = Names::parse("root:x:0:0:root:/root:/bin/sh\nnginx:x:100:101::/:/bin/false\n");
        let groups = Names::parse("root:x:0:\nshadow:x:42:\nnginx:x:101:nginx\n");
        let of = |spec: &str| numbers(spec, &users, &groups);
        assert_eq!(of("root:shadow"), Ok((Some(0), Some(42))));
        assert_eq!(of("nginx"), Ok((Some(100), None)));
        assert_eq!(of("nginx:"), Ok((Some(100), Some(101))));
        assert_eq!(of(":shadow"), Ok((None, Some(42))));
        assert_eq!(of("7:8"), Ok((Some(7), Some(8))));
        assert!(of("nobody").is_err() && of("root:nobody").is_err());
    }
}
