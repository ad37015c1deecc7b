//! Differences as the usual tools make them. Where a tool is missing, its test says so.

use std::path::Path;
use std::process::Command;

use fs_err as fs;

use super::*;

/// Runs a shell script in a folder; false where one of the tools is not there, with the
/// test left out.
fn run(folder: &Path, tools: &[&str], script: &str) -> bool {
    for tool in tools {
        let found = Command::new("sh")
            .args(["-c", "command -v \"$0\" > /dev/null", tool])
            .status();
        if !found.is_ok_and(|status| status.success()) {
            lunikernel_testing::left_out(&lunikernel_testing::this_test(), &format!("no {tool}"));
            return false;
        }
    }
    let status = Command::new("sh")
        .args(["-euc", script])
        .current_dir(folder)
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .env_remove("SOURCE_DATE_EPOCH")
        .status();
    assert!(status.unwrap().success(), "{script}");
    true
}

/// What differs between `left` and `right` after a script made them.
fn compared(tools: &[&str], script: &str) -> Option<Difference> {
    let folder = tempfile::tempdir().unwrap();
    if !run(folder.path(), tools, script) {
        return None;
    }
    let path = |name: &str| folder.path().join(name);
    let difference = compare_files(&path("left"), &path("right")).unwrap();
    Some(difference.expect("they differ"))
}

#[test]
fn maps_of_sparse_files_in_a_tar_archive_are_followed() {
    // More parts than a header and one block have room for, and a file behind them.
    let script = "
        for side in left right; do
            mkdir $side.d && cd $side.d
            for at in $(seq 0 40); do
                printf x | dd of=disk.raw bs=1 seek=$((at * 1048576)) conv=notrunc status=none
            done
            truncate -s 64M disk.raw
            echo $side > text
            cd ..
        done
        CHANGE
        for side in left right; do
            tar --format=oldgnu -S --mtime=@0 -C $side.d -cf $side disk.raw text
        done";
    let tools = ["tar", "truncate", "dd", "seq"];
    let Some(difference) = compared(&tools, &script.replace("CHANGE", "")) else {
        return;
    };
    let text = difference.to_string();
    assert!(
        text.starts_with("left: member `text`: line 1 differs"),
        "{text}"
    );
    assert!(difference.others.is_empty(), "{text}");

    let change = "truncate -s 65M right.d/disk.raw; cp left.d/text right.d/text";
    let text = compared(&tools, &script.replace("CHANGE", change));
    let text = text.unwrap().to_string();
    assert!(
        text.starts_with("left: member `disk.raw`: realsize differs"),
        "{text}"
    );
    let change = "cp left.d/text right.d/text
        printf y | dd of=right.d/disk.raw bs=1 seek=31457280 conv=notrunc status=none";
    let text = compared(&tools, &script.replace("CHANGE", change));
    let text = text.unwrap().to_string();
    assert!(
        text.starts_with("left: member `disk.raw`: its content differs"),
        "{text}"
    );
}

const PROGRAM: &str = "cat > p.c <<'END'
#include <stdio.h>
const char when[] = WHEN;
int twice(int x) { return FACTOR * x; }
int main(int n, char **v) { printf(\"%s %d\\n\", when, twice(n)); return v == 0; }
END
";

fn sections(difference: &Difference) -> Vec<(&str, Role)> {
    let first = [&difference.path];
    let others = difference.others.iter().map(|other| &other.path);
    let paths = first.into_iter().chain(others);
    paths
        .filter_map(|path| match path.last() {
            Some(Place::Section(section)) => Some((section.name.as_str(), section.role)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_date_in_a_program_has_its_section_symbol_and_address() {
    let script = format!(
        "{PROGRAM}
        cc -Wl,--build-id -DFACTOR=2 -DWHEN='\"Jan  1 1980 ..\"' -o left p.c
        cc -Wl,--build-id -DFACTOR=2 -DWHEN='\"Jan  2 1980 ..\"' -o right p.c"
    );
    let Some(difference) = compared(&["cc"], &script) else {
        return;
    };
    let Some(Place::Section(section)) = difference.path.first() else {
        panic!("{difference}");
    };
    assert_eq!(
        (section.name.as_str(), section.role),
        (".rodata", Role::Data)
    );
    let symbol = section.symbol.as_ref().unwrap();
    assert_eq!((symbol.name.as_str(), symbol.offset), ("when", 5));
    let bytes = difference.found.bytes().unwrap();
    assert_eq!((bytes.left_from()[0], bytes.right_from()[0]), (b'1', b'2'));
    assert!(bytes.before().ends_with(b"Jan  "));
    let extent = bytes.extent.unwrap();
    assert_eq!((extent.bytes, extent.ranges), (1, 1));
    assert!(section.address.unwrap() > bytes.offset);
    assert!(
        difference.to_string().contains("`when` + 0x5"),
        "{difference}"
    );
    // What else differs is the digest of it all.
    let others = sections(&difference);
    assert_eq!(others[1..], [(".note.gnu.build-id", Role::BuildId)]);
}

#[test]
fn code_is_told_before_what_follows_from_it() {
    let script = format!(
        "{PROGRAM}
        cc -DFACTOR=1000 -DWHEN='\"\"' -o left p.c
        cc -DFACTOR=1001 -DWHEN='\"\"' -o right p.c"
    );
    let Some(difference) = compared(&["cc"], &script) else {
        return;
    };
    let Some(Place::Section(section)) = difference.path.first() else {
        panic!("{difference}");
    };
    assert_eq!((section.name.as_str(), section.role), (".text", Role::Code));
    assert_eq!(section.symbol.as_ref().unwrap().name, "twice");
}

#[test]
fn a_build_path_is_in_the_debug_information() {
    let script = format!(
        "mkdir one two; {PROGRAM} cp p.c one; mv p.c two
        (cd one; cc -g -c -DFACTOR=2 -DWHEN='\"\"' -o ../left p.c)
        (cd two; cc -g -c -DFACTOR=2 -DWHEN='\"\"' -o ../right p.c)"
    );
    let Some(difference) = compared(&["cc"], &script) else {
        return;
    };
    let found = sections(&difference);
    assert!(!found.is_empty(), "{difference}");
    for (name, role) in found {
        assert_eq!(role, Role::DebugInformation, "{name}");
        assert!(name.ends_with("str"), "{name}");
    }
    let bytes = difference.found.bytes().unwrap();
    assert!(bytes.left_from().starts_with(b"one\0"), "{difference}");
    assert!(difference.to_string().contains("debug information"));
}

#[test]
fn ar_with_and_without_dates() {
    let script = "echo one > a.txt; echo two > a-member-with-a-long-name.txt
        touch -d @1000000000 *.txt; ar qcU left *.txt
        touch -d @1000000060 *.txt; ar qcU right *.txt";
    let Some(difference) = compared(&["ar"], script) else {
        return;
    };
    let told = [
        (
            "a-member-with-a-long-name.txt",
            &difference.path,
            &difference.found,
        ),
        (
            "a.txt",
            &difference.others[0].path,
            &difference.others[0].found,
        ),
    ];
    for (name, path, found) in told {
        assert_eq!(
            path,
            &[Place::Member {
                format: Format::Ar,
                name: name.to_owned()
            }]
        );
        assert_eq!(found.texts(), Some(("1000000000", "1000000060")), "{found}");
        assert!(matches!(found, Found::Field { field, .. } if field == "mtime"));
    }
    assert_eq!((difference.others.len(), difference.unlisted), (1, 0));

    let script = "echo one > a.txt; echo two > b.txt
        ar qcD left a.txt b.txt; ar qcD right b.txt a.txt";
    let difference = compared(&["ar"], script).unwrap();
    assert_eq!(difference.found.reordered(), Some(Units::Members));
    let Found::Order {
        position,
        left,
        right,
        ..
    } = &difference.found
    else {
        panic!("{difference}");
    };
    assert_eq!(
        (*position, left.as_str(), right.as_str()),
        (0, "a.txt", "b.txt")
    );
}

#[test]
fn a_library_is_taken_apart_down_to_its_sections() {
    let script = format!(
        "{PROGRAM}
        cc -c -DFACTOR=2 -DWHEN='\"1\"' p.c; ar rcsD left p.o
        cc -c -DFACTOR=2 -DWHEN='\"2\"' p.c; ar rcsD right p.o"
    );
    let Some(difference) = compared(&["cc", "ar"], &script) else {
        return;
    };
    let [Place::Member { name, .. }, Place::Section(section)] = difference.path.as_slice() else {
        panic!("{difference}");
    };
    assert_eq!((name.as_str(), section.name.as_str()), ("p.o", ".rodata"));
    assert_eq!(section.symbol.as_ref().unwrap().name, "when");
    assert!(difference.others.is_empty(), "{difference}");
}

#[test]
fn gzip_with_and_without_a_name_and_a_date() {
    let script = "echo same > one; touch -d @1000000000 one; gzip -c one > left
        touch -d @1000000060 one; gzip -c one > right";
    let Some(difference) = compared(&["gzip"], script) else {
        return;
    };
    let text = "left: MTIME (time stamp) in its gzip header differs\n  \
                left:  1000000000\n  right: 1000000060";
    assert_eq!(difference.to_string(), text);

    let script = "echo same > one; gzip -c one > left; gzip -nc one > right";
    let difference = compared(&["gzip"], script).unwrap();
    assert!(difference.to_string().contains("FNAME"), "{difference}");

    let script = "printf 'b\\na\\n' | gzip -n > left; printf 'a\\nb\\n' | gzip -n > right";
    let difference = compared(&["gzip"], script).unwrap();
    let format = Format::Gzip;
    assert_eq!(difference.path, [Place::Unpacked { format }]);
    assert_eq!(difference.found.reordered(), Some(Units::Lines));
    assert_eq!(difference.found.texts(), Some(("b", "a")));
}

#[test]
fn tar_of_every_kind() {
    let member = |name: &str| Place::Member {
        format: Format::Tar,
        name: name.to_owned(),
    };
    let long = "a-folder-with-a-name-of-some-length/".repeat(4);
    for format in ["gnu", "pax", "ustar"] {
        let script = format!(
            "mkdir -p {long}; echo one > {long}/file; ln -s one link
            tar --format={format} --mtime=@1000000000 -cf left *-* link
            tar --format={format} --mtime=@1000000060 -cf right *-* link"
        );
        let Some(difference) = compared(&["tar"], &script) else {
            return;
        };
        let Found::Field { field, .. } = &difference.found else {
            panic!("{difference}");
        };
        assert_eq!(field, "mtime", "{difference}");
        // GNU's tar in its POSIX format adds when it was read, which is told as well.
        let file = difference.others.iter().find(|other| {
            let is_mtime = matches!(&other.found, Found::Field { field, .. } if field == "mtime");
            is_mtime && other.path == [member(&format!("{long}file"))]
        });
        assert!(file.is_some(), "{difference}");
    }
    let script = "mkdir a; echo 1 > a/1; cp a/1 a/2
        tar -cf left --owner=root a/1 a/2; echo 2 > a/2
        tar -cf right --owner=me:1000 a/2 a/1; gzip -n left right; mv left.gz left; mv right.gz right";
    let difference = compared(&["tar", "gzip"], script).unwrap();
    let text = difference.to_string();
    for said in [
        "member `a/1`: uid differs",
        "member `a/1`: uname differs",
        "member `a/2`: line 1 differs",
        "the same members in another order, from the 1st on",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn zip_down_to_a_jar_in_it() {
    let script = "echo one > class; touch -d @1000000000 class; zip -qX inner.jar class
        touch -d @1000000000 inner.jar; zip -qX left inner.jar; mv left.zip left; rm inner.jar
        echo two > class; touch -d @1000000060 class; zip -qX inner.jar class
        touch -d @1000000000 inner.jar; zip -qX right inner.jar; mv right.zip right";
    let Some(difference) = compared(&["zip"], script) else {
        return;
    };
    let names: Vec<&str> = difference
        .path
        .iter()
        .filter_map(|place| match place {
            Place::Member {
                name,
                format: Format::Zip,
            } => Some(name.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(names, ["inner.jar", "class"]);
    let times = ("2001-09-09 01:46:40", "2001-09-09 01:47:40");
    assert_eq!(difference.found.texts(), Some(times), "{difference}");
    assert_eq!(difference.others[0].found.texts(), Some(("one", "two")));
}

#[test]
fn the_same_words_and_strings_in_another_order() {
    let folder = tempfile::tempdir().unwrap();
    for (left, right, units) in [
        (
            "{\"b\": 1, \"a\": 2}",
            "{\"a\": 2, \"b\": 1}",
            Some(Units::Words),
        ),
        ("a b\nc d\n", "c d\na b\n", Some(Units::Lines)),
        ("one\0two\0", "two\0one\0", Some(Units::Strings)),
        ("one\0two\0", "two\0eno\0", None),
        ("a b\nc d\n", "c d\na e\n", None),
    ] {
        for (name, text) in [("left", left), ("right", right)] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let found = compare_files(&folder.path().join("left"), &folder.path().join("right"));
        let found = found.unwrap().unwrap().found;
        assert_eq!(found.reordered(), units, "{left:?}");
    }
}
