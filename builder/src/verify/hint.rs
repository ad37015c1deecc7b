//! What the author of a recipe can do about a cause.

use super::cause::Class;
use super::compare::{Difference, Format, Found, Place};

/// What to change in a step, as specific as the place of the difference allows.
pub(super) fn hint(class: Class, difference: &Difference) -> String {
    let kind = innermost(difference);
    let text = match class {
        Class::Timestamp => timestamp(kind, difference),
        Class::Ordering => match kind {
            Some(Format::Tar) => "have tar sort its members: `tar --sort=name …`",
            Some(Format::Ar) => {
                "give ar its members in a fixed order: `ar rcD out.a $(ls *.o | LC_ALL=C sort)`"
            }
            Some(Format::Zip) => {
                "sort the names first: `find . | LC_ALL=C sort | zip -X -@ out.zip`"
            }
            Some(Format::Cpio) => {
                "sort the names first: `find . | LC_ALL=C sort | cpio -o -H newc --reproducible`"
            }
            _ => {
                "sort what is listed or iterated over: `find … | LC_ALL=C sort`, `sort keys` in \
                 Perl, `sorted()` in Python; `PERL_HASH_SEED=0` or `PYTHONHASHSEED=0` in the \
                 step's `env` helps where it cannot be changed"
            }
        },
        Class::RandomId => {
            "make it from the content (`sha256sum`), from the name and version, or from a fixed \
             seed; tools often take one: `--seed`, `-frandom-seed=…`, `PYTHONHASHSEED=0`"
        }
        Class::Locale => {
            "sort and print in one locale: `LC_ALL=C sort`, or `LC_ALL: C` in the step's `env`"
        }
        Class::TimeZone => {
            "read times as UTC: `date -u`, `gmtime`, or `TZ: UTC` in the step's `env`"
        }
        Class::User => match kind {
            Some(Format::Tar) => {
                "have tar leave out the owner: `tar --owner=0 --group=0 --numeric-owner …`"
            }
            Some(Format::Ar) => "have ar leave out the owner: `ar D`",
            _ => "leave the user out, or set `USER` and `LOGNAME` in the step's `env`",
        },
        Class::HostName => {
            "leave the host name out: many build systems have an option or a variable for what \
             they call the build host, such as `KBUILD_BUILD_HOST`"
        }
        Class::Cpus => {
            "do it one after the other (`make -j1`, `xargs -P1`), or put together what parallel \
             jobs make in a fixed order; a number of jobs must not be written into the result"
        }
        Class::Addresses => {
            "print names instead of addresses, and set memory to zero before it is written out \
             (`memset`, `calloc`), the gaps in structures included"
        }
        Class::ProcessId => {
            "use a fixed name instead of `$$` or `getpid()`: each step has `/build` to itself"
        }
        Class::Inode => "do not write or sort by inode and device numbers; sort by name",
        Class::Kernel => {
            "state the target instead of asking the machine with `uname`; configure scripts take \
             `--host` and cached answers"
        }
        Class::Umask => match kind {
            Some(Format::Tar) => {
                "set modes on packing: `tar --mode=u=rwX,go=rX …`, or `umask 022` first"
            }
            _ => "set modes with `chmod` or `install -m`, or begin the step with `umask 022`",
        },
        Class::Home => {
            "do not write `$HOME` into the result; `-ffile-prefix-map=$HOME=.` for compilers"
        }
        Class::Terminal => {
            "switch colours and progress off: `--color=never`, `TERM: dumb` in the step's `env`"
        }
        Class::Environment => {
            "write out only the variables that matter (not `env`), and call programs by their \
             full path where there are several of that name"
        }
        Class::BuildPath | Class::Sandbox => {
            "steps run in `/build` everywhere, so this is a bug of Lunikernel unless the step \
             looks around outside; `-ffile-prefix-map=$PWD=.` for compilers"
        }
        Class::Unknown => {
            "look at both with `luni verify-reproducibility --report FILE.html`, and at the step with `luni shell . STEP`"
        }
    };
    text.to_owned()
}

fn timestamp(kind: Option<Format>, difference: &Difference) -> &'static str {
    let name = difference.member().unwrap_or_default();
    match kind {
        Some(Format::Tar) => {
            "fix the times of members: `tar --mtime=@$SOURCE_DATE_EPOCH --sort=name …`"
        }
        Some(Format::Gzip) => "leave the time and the name out of the header: `gzip -n`",
        Some(Format::Ar) => "have ar leave times out: `ar D` instead of `ar U`; `ranlib -D`",
        Some(Format::Zip) => {
            "set the times before packing: `find . -exec touch -d @$SOURCE_DATE_EPOCH {} +`, then \
             `zip -X`"
        }
        Some(Format::Cpio) => {
            "set the times before packing: `find . -exec touch -d @$SOURCE_DATE_EPOCH {} +`"
        }
        Some(Format::Elf) => {
            "`__DATE__` and `__TIME__` are the usual reason: gcc takes them from \
             SOURCE_DATE_EPOCH, which steps have; for other compilers define them with `-D`; \
             `-Wdate-time` shows where they are"
        }
        _ if name.ends_with(".pyc") => "compile Python with `--invalidation-mode unchecked-hash`",
        _ => {
            "take the time from SOURCE_DATE_EPOCH, which every step has: `date -u -d \
             @$SOURCE_DATE_EPOCH`, or leave it out"
        }
    }
}

/// The kind of file that the difference is in, where it is known.
fn innermost(difference: &Difference) -> Option<Format> {
    match &difference.found {
        Found::Field { format, .. }
        | Found::Order { format, .. }
        | Found::Packing { format, .. } => {
            return Some(*format);
        }
        _ => {}
    }
    // The outermost two are the initramfs itself, whose members the recipe's steps make.
    let places = difference.path.iter();
    let places = places.filter(|place| !matches!(place, Place::Archive { .. }));
    let place = places.skip(2).last()?;
    match place {
        Place::Unpacked { format } | Place::Member { format, .. } => Some(*format),
        Place::Section(_) => Some(Format::Elf),
        Place::Archive { .. } => Some(Format::Cpio),
    }
}
