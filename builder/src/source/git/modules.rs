//! `.gitmodules`: where submodules come from (gitmodules(5), git-config(1)).

use std::collections::BTreeMap;

/// The address of each submodule by its path.
///
/// # Errors
/// What is wrong, with its line, where the file is not what git would write.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, String> {
    #[derive(Default)]
    struct Module {
        path: Option<String>,
        url: Option<String>,
    }
    let mut modules: BTreeMap<String, Module> = BTreeMap::new();
    let mut section: Option<String> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        let wrong = |why: &str| format!("line {}: {why}", number + 1);
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            let header = header
                .strip_suffix(']')
                .ok_or_else(|| wrong("expected `]` at its end"))?;
            section = match header.split_once(char::is_whitespace) {
                Some((kind, name)) if kind.eq_ignore_ascii_case("submodule") => {
                    Some(value(name).map_err(|why| wrong(&why))?)
                }
                _ => None,
            };
            continue;
        }
        let Some(name) = &section else {
            continue;
        };
        let (key, text) = line.split_once('=').unwrap_or((line, ""));
        let key = key.trim().to_ascii_lowercase();
        if key == "path" || key == "url" {
            let text = value(text).map_err(|why| wrong(&why))?;
            let module = modules.entry(name.clone()).or_default();
            let slot = match key.as_str() {
                "path" => &mut module.path,
                _ => &mut module.url,
            };
            *slot = Some(text);
        }
    }
    Ok(modules
        .into_values()
        .filter_map(|module| Some((module.path?, module.url?)))
        .collect())
}

/// A value: quotes taken off, escapes resolved, the comment behind it left out.
fn value(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut quoted = false;
    let mut kept = 0;
    let mut characters = text.trim().chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => quoted = !quoted,
            '\\' => out.push(match characters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some(same @ ('"' | '\\')) => same,
                _ => return Err("an escape that is not understood".to_owned()),
            }),
            '#' | ';' if !quoted => break,
            other => out.push(other),
        }
        if quoted || !character.is_whitespace() {
            kept = out.len();
        }
    }
    if quoted {
        return Err("a quote that does not end".to_owned());
    }
    out.truncate(kept);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_writes_is_read() {
        let text = "# comment\n[submodule \"a \\\"b\\\"\"]\n\tpath = \"lib/a # b\" ; c\n\tURL = ../a.git  # c\n\
                    [core]\n\tpath = no\n[submodule \"x\"]\n\tpath = x\n\tbranch = main\n\turl=https://host/x\n\
                    [submodule \"half\"]\n\tpath = half\n";
        let expected = [("lib/a # b", "../a.git"), ("x", "https://host/x")]
            .map(|(path, url)| (path.to_owned(), url.to_owned()));
        assert_eq!(parse(text), Ok(BTreeMap::from(expected)));
    }

    #[test]
    fn what_it_would_not_is_refused() {
        for text in [
            "[submodule \"x\"",
            "[submodule \"x]",
            "[submodule \"x\"]\npath = \"y",
            "[submodule \"x\"]\npath = a\\",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
