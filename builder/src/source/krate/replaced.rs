//! What stands in for the usual registry: source replacement in cargo's configuration,
//! followed to its end as cargo does.

use toml_span::Value;

/// The source that is replaced.
const USUAL: &str = "crates-io";
/// How often one source may lead to another; more is a loop.
const MAX_STEPS: usize = 32;

/// The address of the registry that the configuration `text` puts in the place of the
/// usual one; `None` where it puts nothing there.
///
/// # Errors
/// Why there is none: the configuration is none, or leads nowhere, in a circle, or to
/// something that has no archives of crates.
pub(super) fn registry(text: &str) -> Result<Option<String>, String> {
    let config = toml_span::parse(text).map_err(|error| error.to_string())?;
    let table = |name: &str| {
        let source = config.as_table()?.get("source")?.as_table()?;
        source.get(name)?.as_table()
    };
    let text = |value: Option<&Value<'_>>| value.and_then(Value::as_str).map(str::to_owned);
    let mut name = USUAL.to_owned();
    for _ in 0..MAX_STEPS {
        let Some(source) = table(&name) else {
            // One of the other registries may be named as well.
            let registries = config.as_table().and_then(|all| all.get("registries"));
            let registry = registries
                .and_then(Value::as_table)
                .and_then(|all| all.get(name.as_str()))
                .and_then(Value::as_table);
            return match registry.and_then(|registry| text(registry.get("index"))) {
                Some(address) => Ok(Some(address)),
                None if name == USUAL => Ok(None),
                None => Err(format!(
                    "`replace-with` names `{name}`, and there is no `[source.{name}]`"
                )),
            };
        };
        if let Some(next) = text(source.get("replace-with")) {
            name = next;
            continue;
        }
        for (key, what) in [
            (
                "directory",
                "a folder of unpacked crates, which has no archives of them",
            ),
            ("local-registry", "a local registry, which is not read"),
            ("git", "a repository, which has no archives of crates"),
        ] {
            if source.get(key).is_some() {
                return Err(format!("`[source.{name}]` is {what} (`{key}`)"));
            }
        }
        return match text(source.get("registry")) {
            Some(address) => Ok(Some(address)),
            None if name == USUAL => Ok(None),
            None => Err(format!("`[source.{name}]` does not say where it is")),
        };
    }
    Err(format!(
        "`replace-with` of `[source.{USUAL}]` leads from source to source without end"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str, expected: &str) {
        let why = registry(text).unwrap_err();
        assert!(why.contains(expected), "{text}: {why}");
    }

    #[test]
    fn chains_are_followed_to_their_end() {
        let end = Ok(Some("sparse+https://a.example/".to_owned()));
        let own = "registry = 'sparse+https://a.example/'";
        let first = "[source.crates-io]\nreplace-with = 'v'\n";
        for rest in [
            format!("[source.v]\n{own}"),
            format!("[source.v]\nreplace-with = 'w'\ndirectory = 'x'\n[source.w]\n{own}"),
            "[registries.v]\nindex = 'sparse+https://a.example/'".to_owned(),
        ] {
            assert_eq!(registry(&format!("{first}{rest}")), end, "{rest}");
        }
        for none in [
            "",
            "[net]\noffline = true",
            "[source.other]\nreplace-with = 'v'",
        ] {
            assert_eq!(registry(none), Ok(None), "{none}");
        }
    }

    #[test]
    fn what_leads_to_no_archives_is_refused() {
        let first = "[source.crates-io]\nreplace-with = 'v'\n";
        says(first, "there is no `[source.v]`");
        says(
            &format!("{first}[source.v]\nreplace-with = 'x'"),
            "no `[source.x]`",
        );
        says(
            &format!("{first}[source.v]\nreplace-with = 'v'"),
            "without end",
        );
        says(
            &format!("{first}[source.v]\nreplace-with = 'crates-io'"),
            "without end",
        );
        says(
            &format!("{first}[source.v]\ndirectory = 'vendor'"),
            "(`directory`)",
        );
        says(
            &format!("{first}[source.v]\nlocal-registry = 'x'"),
            "(`local-registry`)",
        );
        says(&format!("{first}[source.v]\n"), "does not say where it is");
        assert!(registry("[source").is_err());
    }
}
