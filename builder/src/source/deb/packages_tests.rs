use super::super::fuzz;
use super::super::test_archive::package;
use super::*;

fn read_text(text: &str) -> Result<Vec<Package>, PackagesError> {
    let mut packages = Vec::new();
    read(text.as_bytes(), "amd64", 0, &mut packages)?;
    Ok(packages)
}

/// `package` with one of its lines replaced, or dropped.
fn with(field: &str, replacement: &str) -> String {
    let text = package("app", "1", "Depends: lib");
    let mut changed = String::new();
    for line in text.lines() {
        if line.starts_with(&format!("{field}:")) {
            changed.push_str(replacement);
        } else {
            changed.push_str(line);
        }
        changed.push('\n');
    }
    changed.replace("\n\n", "\n")
}

#[test]
fn what_locking_needs_is_read() {
    let text = format!(
        "{}\n\n\r\n{}",
        package(
            "app",
            "1:2-3",
            "Depends: a,\n b;Multi-Arch: allowed;Priority: required;Description: x\n long\n .\n text"
        ),
        package("doc", "1", "Architecture: all").trim_end()
    );
    let packages = read_text(&text).unwrap();
    assert_eq!(packages.len(), 2);
    let app = &packages[0];
    assert_eq!(app.depends.as_deref(), Some("a, b"));
    assert!(app.any && !app.all && app.priority == 0);
    assert_eq!(&*app.filename, "pool/main/app_1.2-3_amd64.deb");
    assert_eq!(app.size, 1003);
    assert!(packages[1].all);
    assert_eq!(
        fuzz::packages(text.as_bytes())
            .unwrap()
            .matches("Package: ")
            .count(),
        2
    );
}

#[test]
fn packages_of_other_architectures_are_passed_over() {
    assert!(
        read_text(&package("app", "1", "Architecture: arm64"))
            .unwrap()
            .is_empty()
    );
}

#[test]
fn what_could_do_harm_or_cannot_be_pinned_is_refused() {
    for (field, replacement) in [
        ("Package", "Package: ../../etc"),
        ("Package", "Package: a b"),
        ("Package", ""),
        ("Version", "Version: 1 2"),
        ("Version", "Version: 99999999999999999999:1"),
        ("Version", "X: y"),
        ("Filename", "Filename: ../../../etc/passwd"),
        ("Filename", "Filename: /etc/passwd"),
        ("Filename", "Filename: pool/./a.deb"),
        ("Filename", "Filename: pool//a.deb"),
        ("Filename", "Filename: pool/a b.deb"),
        ("Filename", "Filename: pool/a\u{1b}[2J.deb"),
        ("Filename", "Filename: pool\\a.deb"),
        ("Filename", "Filename: pool/a.deb?x"),
        ("Filename", "X: y"),
        ("Size", "Size: -1"),
        ("Size", "Size: 0"),
        ("Size", "Size: 99999999999999999999999"),
        ("Size", "X: y"),
        ("SHA256", "SHA256: d41d8cd98f00b204e9800998ecf8427e"),
        ("SHA256", "MD5sum: d41d8cd98f00b204e9800998ecf8427e"),
        ("Architecture", "X: y"),
    ] {
        let error = read_text(&with(field, replacement)).unwrap_err();
        assert!(
            matches!(error, PackagesError::Package { .. }),
            "{replacement}: {error}"
        );
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    }
}

#[test]
fn what_is_not_of_the_format_is_refused() {
    for text in [
        " continues nothing\n",
        "no colon\n",
        "Package: a\nPackage: b\n",
        "Package: a\nsize: 1\nSize: 2\n",
    ] {
        let error = read_text(text).unwrap_err();
        assert!(
            matches!(error, PackagesError::Line { .. }),
            "{text}: {error}"
        );
    }
    let error = fuzz::packages(b"Package: \xff\n").unwrap_err();
    assert!(matches!(error, PackagesError::Line { .. }), "{error}");
}

#[test]
fn lines_and_fields_without_end_are_refused() {
    let error = fuzz::packages(&vec![b'a'; MAX_LINE as usize + 5]).unwrap_err();
    assert!(
        matches!(error, PackagesError::LongLine { line: 1 }),
        "{error}"
    );
    let many = format!("Depends: a\n{}", " a,\n".repeat(600_000));
    let error = read_text(&many).unwrap_err();
    assert!(matches!(error, PackagesError::LongLine { .. }), "{error}");
}
