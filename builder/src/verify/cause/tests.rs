//! Which cause is named for what stands in the bytes.

use super::*;
use crate::verify::compare::{Bytes, Format, Units, Window};

/// 2026-11-22 09:04:17 UTC.
const THEN: u64 = 1_795_338_257;

/// The difference between two contents, taken as bytes.
fn difference(left: &[u8], right: &[u8], reordered: Option<Units>) -> Difference {
    let offset = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    let window = |bytes: &[u8]| Window {
        start: 0,
        bytes: bytes.to_vec(),
        size: bytes.len() as u64,
    };
    of(Found::Content {
        bytes: Bytes {
            offset: offset as u64,
            left: window(left),
            right: window(right),
            extent: None,
        },
        reordered,
        whole: None,
    })
}

fn of(found: Found) -> Difference {
    Difference {
        entry: "initramfs.gz".to_owned(),
        path: Vec::new(),
        found,
        others: Vec::new(),
        unlisted: 0,
    }
}

fn field(format: Format, name: &str) -> Difference {
    of(Found::Field {
        format,
        field: name.to_owned(),
        left: "1".to_owned(),
        right: "2".to_owned(),
    })
}

/// Judges two builds that are a minute apart, the second with everything varied.
fn judged(difference: Difference, shown: Shown<'_>) -> Cause {
    let (one, two) = conditions();
    let side = |conditions, begin| Side {
        conditions,
        span: Span {
            begin,
            end: begin + 20,
        },
    };
    judge(difference, side(&one, THEN), side(&two, THEN + 60), shown)
}

fn conditions() -> (Conditions, Conditions) {
    let all: Vec<Variation> = Variation::all().collect();
    (Conditions::base(), Conditions::of_round(1, &all))
}

fn itself(unless_serial: bool) -> Shown<'static> {
    Shown::ByItself { unless_serial }
}

#[test]
fn a_guilty_variation_names_the_cause() {
    for (facet, class) in [
        (Facet::HostName, Class::HostName),
        (Facet::Cpus, Class::Cpus),
        (Facet::EntryOrder, Class::Ordering),
        (Facet::Clock, Class::Timestamp),
        (Facet::UserName, Class::User),
    ] {
        let guilty = [Variation::Around(facet)];
        let cause = judged(difference(b"a", b"b", None), Shown::Guilty(&guilty));
        assert_eq!(
            (cause.class, cause.confidence),
            (class, Confidence::Certain)
        );
        assert_eq!(cause.guilty, guilty);
        assert!(!cause.hint.is_empty() && !cause.evidence.is_empty());
    }
}

#[test]
fn of_several_guilty_ones_the_bytes_say_which_it_is() {
    let guilty = [Facet::Umask, Facet::HostName].map(Variation::Around);
    let bytes = difference(b"on lunikernel", b"on elsewhere-1", None);
    let cause = judged(bytes, Shown::Guilty(&guilty));
    assert_eq!(cause.class, Class::HostName);
    let silent = judged(difference(b"1", b"2", None), Shown::Guilty(&guilty));
    assert_eq!(silent.class, Class::Umask);
}

#[test]
fn what_only_moves_the_stack_is_no_cause_of_its_own() {
    let guilty = [Variation::Around(Facet::Environment)];
    let shown = Shown::Guilty(&guilty);
    let bytes = difference(b"at 0x7ffd01234568", b"at 0x7ffd012344e8", None);
    let mut cause = judged(bytes.clone(), shown);
    assert_eq!(cause.class, Class::Addresses);
    cause.join(judged(
        bytes,
        Shown::Guilty(&[Variation::Around(Facet::Home)]),
    ));
    assert_eq!(
        cause.guilty,
        [Facet::Environment, Facet::Home].map(Variation::Around)
    );
}

/// Two contents, what of them is only reordered, and what is to be told of that.
type Case<'a> = (&'a [u8], &'a [u8], Option<Units>, Class, Confidence);

#[test]
fn what_differs_by_itself_is_told_by_its_bytes() {
    let cases: [Case<'_>; 8] = [
        (
            b"at 1795338260\n",
            b"at 1795338320\n",
            None,
            Class::Timestamp,
            Confidence::Certain,
        ),
        (
            b"09:04:20",
            b"09:05:20",
            None,
            Class::Timestamp,
            Confidence::Certain,
        ),
        (
            b"at 1795338260\n",
            b"at last\n",
            None,
            Class::Timestamp,
            Confidence::Likely,
        ),
        (
            b"3f1a2b4c-90ab-4cde-8f01-23456789abcd",
            b"9e8d7c6b-1234-4f00-9abc-def012345678",
            None,
            Class::RandomId,
            Confidence::Certain,
        ),
        (
            b"a\nb\n",
            b"b\na\n",
            Some(Units::Lines),
            Class::Ordering,
            Confidence::Likely,
        ),
        (
            b"at 0x7ffd01234568",
            b"at 0x7ffc98765568",
            None,
            Class::Addresses,
            Confidence::Likely,
        ),
        (
            &0x7ffd_0123_4568_u64.to_le_bytes(),
            &0x7ffc_9876_5568_u64.to_le_bytes(),
            None,
            Class::Addresses,
            Confidence::Likely,
        ),
        (
            b"seed 12",
            b"seed 71",
            None,
            Class::RandomId,
            Confidence::Likely,
        ),
    ];
    for (left, right, units, class, confidence) in cases {
        let cause = judged(difference(left, right, units), itself(false));
        let text = String::from_utf8_lossy(left).into_owned();
        assert_eq!(
            (cause.class, cause.confidence),
            (class, confidence),
            "{text}"
        );
    }
}

#[test]
fn what_one_processor_makes_the_same_is_a_race_unless_it_is_a_time() {
    let race = judged(
        difference(b"a\nb\n", b"b\na\n", Some(Units::Lines)),
        itself(true),
    );
    assert_eq!(
        (race.class, race.confidence),
        (Class::Cpus, Confidence::Certain)
    );
    let time = judged(difference(b"1795338260", b"1795338320", None), itself(true));
    assert_eq!(time.class, Class::Timestamp);
}

#[test]
fn without_trials_nothing_is_certain() {
    let cause = judged(
        difference(b"on lunikernel", b"on elsewhere-1", None),
        Shown::Nothing,
    );
    assert_eq!(
        (cause.class, cause.confidence),
        (Class::HostName, Confidence::Likely)
    );
    let cause = judged(difference(b"x", b"y", None), Shown::Nothing);
    assert_eq!(
        (cause.class, cause.confidence),
        (Class::Unknown, Confidence::None)
    );
}

#[test]
fn fields_mean_what_they_are_called() {
    for (format, name, class) in [
        (Format::Gzip, "mtime", Class::Timestamp),
        (Format::Tar, "mode", Class::Umask),
        (Format::Ar, "uid", Class::User),
    ] {
        let cause = judged(field(format, name), Shown::Nothing);
        assert_eq!(cause.class, class, "{name}");
    }
}

#[test]
fn hints_fit_the_kind_of_file() {
    for (format, word) in [
        (Format::Gzip, "gzip -n"),
        (Format::Tar, "--mtime=@$SOURCE_DATE_EPOCH"),
        (Format::Ar, "ar D"),
        (Format::Zip, "zip -X"),
    ] {
        let hint = judged(field(format, "mtime"), itself(false)).hint;
        assert!(hint.contains(word), "{hint}");
    }
    for class in Class::ALL {
        let bytes = difference(b"a", b"b", None);
        assert!(!hint::hint(class, &bytes).is_empty(), "{class}");
    }
}

#[test]
fn those_that_the_bytes_speak_for_are_tried_first() {
    let (one, two) = conditions();
    let span = Span { begin: 0, end: 1 };
    let side = |conditions| Side { conditions, span };
    let all: Vec<Variation> = Variation::all().collect();
    let find = |left: &[u8], right: &[u8], units| {
        suspects(
            &difference(left, right, units),
            side(&one),
            side(&two),
            &all,
        )
    };
    let around = |facet| vec![Variation::Around(facet)];
    assert_eq!(
        find(b"lunikernel", b"elsewhere-1", None),
        around(Facet::HostName)
    );
    assert_eq!(
        find(b"in /root", b"in /home/someone-1", None)[0],
        Variation::Around(Facet::Home)
    );
    assert_eq!(
        find(b"ab", b"ba", Some(Units::Words)),
        around(Facet::EntryOrder)
    );
    assert_eq!(find(b"x", b"y", None), Vec::<Variation>::new());
}
