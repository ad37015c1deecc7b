//! apt's own configuration: `apt.conf` and `apt.conf.d`, as far as locking needs it.

use std::path::Path;

/// The deepest nesting of blocks that is followed.
const MAX_DEPTH: usize = 64;
/// The longest name of a setting, in bytes. Each setting keeps its own with those of the
/// blocks around it, so that without a bound a small file would take much memory.
const MAX_NAME: usize = 1024;

/// Settings in the order in which they were made; names in lower case, their parts
/// joined by `::`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AptConf {
    settings: Vec<(String, String)>,
}

impl AptConf {
    /// Reads `etc/apt/apt.conf.d/*` and `etc/apt/apt.conf` below `root`, in apt's order.
    pub(super) fn read(root: &Path) -> std::io::Result<Self> {
        let mut conf = Self::default();
        let parts = super::apt_config::files_in(&root.join("etc/apt/apt.conf.d"), &["", "conf"])?;
        for path in parts.iter().chain([&root.join("etc/apt/apt.conf")]) {
            if let Some(text) = super::apt_config::read_optional(path)? {
                conf.parse(&text);
            }
        }
        Ok(conf)
    }

    /// The last value that was set under `name`, which is in lower case.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.settings
            .iter()
            .rev()
            .find(|(set, _)| set == name)
            .map(|(_, value)| value.as_str())
    }

    /// What `name` says as yes or no, where it says that.
    pub(super) fn get_bool(&self, name: &str) -> Option<bool> {
        truth(self.get(name)?)
    }

    /// Everything below `prefix`, as what follows it and its value.
    pub(super) fn below<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> + 'a {
        self.settings
            .iter()
            .filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }

    /// Adds what a file says. apt itself refuses a file with mistakes; here a mistake
    /// only ends a statement, since what is wanted of it is little.
    pub(super) fn parse(&mut self, text: &str) {
        let mut blocks: Vec<String> = Vec::new();
        let mut words: Vec<String> = Vec::new();
        for token in tokens(text) {
            match token {
                Token::Word(word) => words.push(word),
                Token::Open => {
                    let name = words.first().map_or("", String::as_str);
                    let block = join(blocks.last(), name);
                    if blocks.len() == MAX_DEPTH || block.len() > MAX_NAME {
                        return;
                    }
                    blocks.push(block);
                    words.clear();
                }
                Token::Close => {
                    blocks.pop();
                    words.clear();
                }
                Token::End => {
                    if let [name, value] = words.as_slice() {
                        let name = join(blocks.last(), name);
                        if name.len() <= MAX_NAME {
                            self.settings.push((name, value.clone()));
                        }
                    }
                    words.clear();
                }
            }
        }
    }
}

/// `yes`, `true`, `1` … as apt reads them.
pub(super) fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "yes" | "true" | "with" | "on" | "enable" | "1" => Some(true),
        "no" | "false" | "without" | "off" | "disable" | "0" => Some(false),
        _ => None,
    }
}

fn join(block: Option<&String>, name: &str) -> String {
    let name = name.to_ascii_lowercase();
    match block {
        Some(block) if !block.is_empty() => format!("{block}::{name}"),
        _ => name,
    }
}

enum Token {
    Word(String),
    Open,
    Close,
    End,
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    let mut word = String::new();
    let flush = |word: &mut String, tokens: &mut Vec<Token>| {
        if !word.is_empty() {
            tokens.push(Token::Word(std::mem::take(word)));
        }
    };
    while let Some(char) = chars.next() {
        match char {
            '"' => {
                flush(&mut word, &mut tokens);
                let quoted = chars.by_ref().take_while(|char| *char != '"').collect();
                tokens.push(Token::Word(quoted));
            }
            '#' if word.is_empty() => {
                chars.by_ref().find(|char| *char == '\n');
            }
            '/' if word.is_empty() && chars.peek() == Some(&'/') => {
                chars.by_ref().find(|char| *char == '\n');
            }
            '/' if word.is_empty() && chars.peek() == Some(&'*') => {
                chars.next();
                let mut before = ' ';
                for char in chars.by_ref() {
                    if before == '*' && char == '/' {
                        break;
                    }
                    before = char;
                }
            }
            '{' | '}' | ';' => {
                flush(&mut word, &mut tokens);
                tokens.push(match char {
                    '{' => Token::Open,
                    '}' => Token::Close,
                    _ => Token::End,
                });
            }
            char if char.is_whitespace() => flush(&mut word, &mut tokens),
            char => word.push(char),
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_in_all_their_forms() {
        let mut conf = AptConf::default();
        conf.parse(
            r#"
            // a comment; "with" { everything
            Acquire::Check-Valid-Until "false"; # another
            Acquire { /* a
                longer one */ http { Proxy "http://proxy.example:3128/"; };
                Snapshots::URI::Label::Debian "http://past.example/@SNAPSHOTID@/";
            };
            Dir::Cache::pkgcache "";
            APT::Install-Recommends 0;
            "#,
        );
        assert_eq!(conf.get_bool("acquire::check-valid-until"), Some(false));
        assert_eq!(
            conf.get("acquire::http::proxy"),
            Some("http://proxy.example:3128/")
        );
        assert_eq!(conf.get_bool("apt::install-recommends"), Some(false));
        assert_eq!(conf.get("dir::cache::pkgcache"), Some(""));
        let snapshots: Vec<_> = conf.below("acquire::snapshots::uri::").collect();
        assert_eq!(
            snapshots,
            [("label::debian", "http://past.example/@SNAPSHOTID@/")]
        );
    }

    #[test]
    fn long_names_take_no_memory() {
        let long = "x".repeat(MAX_NAME);
        let mut conf = AptConf::default();
        conf.parse(&format!("{long} 1; {long}y 2; a {{ {long} 3; b 4; }};"));
        conf.parse(&format!("{long} {{ c 5; }}; {long}y {{ d 6; }}; e 7;"));
        let settings: Vec<_> = conf.below("").collect();
        assert_eq!(settings, [(long.as_str(), "1"), ("a::b", "4")]);
    }

    #[test]
    fn mistakes_do_no_harm() {
        for text in [
            "{{{{",
            "}}};;;",
            "\"",
            "a \"b",
            "/*",
            "//",
            "a b c d;",
            &"{".repeat(5000),
        ] {
            AptConf::default().parse(text);
        }
    }
}
