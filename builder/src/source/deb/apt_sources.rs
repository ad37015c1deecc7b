//! The two formats of apt's sources: `sources.list` with one line for each archive, and
//! `*.sources` with a paragraph for each, as the manual page sources.list(5) has them. As for apt, only ASCII has blanks.

use std::path::PathBuf;

use super::apt_conf::truth;
use super::apt_config::SignedBy;

/// What one line or paragraph says about binary packages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) uris: Vec<String>,
    pub(super) suites: Vec<String>,
    pub(super) components: Vec<String>,
    pub(super) architectures: Vec<String>,
    pub(super) signed_by: SignedBy,
    pub(super) check_valid_until: Option<bool>,
}

/// Why sources could not be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourcesError {
    /// The line's number, from 1.
    pub(super) line: usize,
    pub(super) what: String,
}

/// Reads the format with one line for each archive:
/// `deb [option=value …] uri suite component …`.
pub(super) fn parse_list(text: &str) -> Result<Vec<Line>, SourcesError> {
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let wrong = |what: &str| SourcesError {
            line: at + 1,
            what: what.to_owned(),
        };
        let line = line.split('#').next().unwrap_or_default().trim_ascii();
        let Some((kind, rest)) = line.split_once(|char: char| char.is_ascii_whitespace()) else {
            if line.is_empty() {
                continue;
            }
            return Err(wrong("the line has a kind and nothing else"));
        };
        match kind {
            "deb" => {}
            "deb-src" => continue,
            _ => return Err(wrong("the line begins with neither `deb` nor `deb-src`")),
        }
        let mut parsed = Line::default();
        let mut rest = rest.trim_ascii();
        if let Some(bracketed) = rest.strip_prefix('[') {
            let (options, after) = bracketed
                .split_once(']')
                .ok_or_else(|| wrong("the options have no closing bracket"))?;
            for option in options.split_ascii_whitespace() {
                let (name, value) = option
                    .split_once('=')
                    .ok_or_else(|| wrong("an option has no value"))?;
                let name = name.trim_end_matches(['+', '-']);
                set_option(&mut parsed, name, &value.replace(',', " "));
            }
            rest = after.trim_ascii();
        }
        let mut words = rest.split_ascii_whitespace().map(str::to_owned);
        parsed.uris.extend(words.next());
        parsed.suites.extend(words.next());
        parsed.components = words.collect();
        if parsed.suites.is_empty() {
            return Err(wrong("the line has no address and suite"));
        }
        lines.push(parsed);
    }
    Ok(lines)
}

/// Reads the format with a paragraph for each archive.
pub(super) fn parse_deb822(text: &str) -> Result<Vec<Line>, SourcesError> {
    let mut lines = Vec::new();
    let mut paragraph: Vec<(String, String)> = Vec::new();
    let mut begin = 1;
    for (at, line) in text.lines().chain([""]).enumerate() {
        if line.starts_with('#') {
            continue;
        }
        let blank = line.trim_ascii().is_empty();
        if blank {
            if !paragraph.is_empty() {
                lines.extend(from_paragraph(&paragraph, begin)?);
                paragraph.clear();
            }
            continue;
        }
        let wrong = |what: &str| SourcesError {
            line: at + 1,
            what: what.to_owned(),
        };
        if line.starts_with([' ', '\t']) {
            let (_, value) = paragraph
                .last_mut()
                .ok_or_else(|| wrong("the line continues nothing"))?;
            value.push('\n');
            value.push_str(line.trim_ascii());
            continue;
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| wrong("the line is neither a field nor a continuation"))?;
        if paragraph.is_empty() {
            begin = at + 1;
        }
        let name = name.trim_ascii().to_ascii_lowercase();
        if paragraph.iter().any(|(known, _)| *known == name) {
            return Err(wrong("the paragraph has this field already"));
        }
        paragraph.push((name, value.trim_ascii().to_owned()));
    }
    Ok(lines)
}

fn from_paragraph(
    paragraph: &[(String, String)],
    begin: usize,
) -> Result<Option<Line>, SourcesError> {
    let get = |wanted: &str| {
        paragraph
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str())
    };
    let words = |value: Option<&str>| -> Vec<String> {
        value
            .unwrap_or_default()
            .split_ascii_whitespace()
            .map(str::to_owned)
            .collect()
    };
    let enabled = get("enabled").and_then(truth).unwrap_or(true);
    let types = words(get("types"));
    if !enabled || !types.is_empty() && types.iter().all(|kind| kind != "deb") {
        return Ok(None);
    }
    let mut line = Line {
        uris: words(get("uris")),
        suites: words(get("suites")),
        components: words(get("components")),
        ..Line::default()
    };
    for (what, missing) in [
        ("Types", types.is_empty()),
        ("URIs", line.uris.is_empty()),
        ("Suites", line.suites.is_empty()),
    ] {
        if missing {
            return Err(SourcesError {
                line: begin,
                what: format!("the paragraph has no {what}"),
            });
        }
    }
    for (name, option) in [
        ("architectures", "arch"),
        ("signed-by", "signed-by"),
        ("check-valid-until", "check-valid-until"),
    ] {
        if let Some(value) = get(name) {
            set_option(&mut line, option, value);
        }
    }
    Ok(Some(line))
}

fn set_option(line: &mut Line, name: &str, value: &str) {
    match name.to_ascii_lowercase().as_str() {
        "arch" => {
            line.architectures = value.split_ascii_whitespace().map(str::to_owned).collect();
        }
        "check-valid-until" => line.check_valid_until = truth(value),
        "signed-by" => line.signed_by = signed_by(value),
        _ => {}
    }
}

/// Reads `Signed-By`: paths and fingerprints, or an armored key whose empty lines are
/// written as a single dot.
fn signed_by(value: &str) -> SignedBy {
    if value.contains("-----BEGIN PGP PUBLIC KEY BLOCK-----") {
        let mut block = String::new();
        for line in value.lines() {
            block.push_str(if line.trim_ascii() == "." {
                ""
            } else {
                line.trim_ascii()
            });
            block.push('\n');
        }
        return SignedBy {
            blocks: vec![block],
            ..SignedBy::default()
        };
    }
    let mut signed_by = SignedBy::default();
    for word in value.split(|char: char| char.is_ascii_whitespace() || char == ',') {
        if word.starts_with('/') {
            signed_by.files.push(PathBuf::from(word));
        } else if !word.is_empty() {
            signed_by.fingerprints.push(word.to_owned());
        }
    }
    signed_by
}
