//! Boots of a machine made by hand through the runner: one that goes well, and those
//! that do not. They run one after the other, also where each test is a process of its
//! own: emulation needs a processor each, and they share the guest's files.
//!
//! What they need (QEMU, apt and a C compiler, on a Debian 12) may be missing; what
//! is left out then is named.

mod guest;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fs_err as fs;
use lunikernel_builder::boot::{
    Accel, AccelChoice, BootError, BootEvent, BootOutcome, Entry, Forward, Kernel, Machine,
    Options, Start, run,
};
use lunikernel_builder::recipe::HttpTest;
use lunikernel_testing::left_out;

struct Bench {
    machine: Machine,
    options: Options,
    lines: Vec<String>,
    folder: tempfile::TempDir,
    /// Held for as long as this lasts. None for a process that the holder started.
    _turn: Option<guest::Turn>,
}

impl Bench {
    /// The hand-made guest, or `None` (and a word about it) where it cannot be made.
    fn new(test: &str) -> Option<Self> {
        let turn = guest::Turn::take();
        let guest = guest::hello(&turn)
            .map_err(|why| left_out(&format!("boot::{test}"), &why))
            .ok()?;
        Some(Self::of(guest, Some(turn)))
    }

    fn of(guest: guest::Guest, turn: Option<guest::Turn>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::new(folder.path());
        options.accel = AccelChoice::Tcg;
        options.timeout = Some(Duration::from_secs(240));
        Self {
            machine: Machine {
                start: linux(guest.kernel, Some(guest.initramfs), "console=ttyS0 panic=5"),
                memory_mib: 256,
                net: true,
            },
            options,
            lines: Vec::new(),
            folder,
            _turn: turn,
        }
    }

    /// The same with an init of the test's own, and nothing else in its initramfs.
    fn with_init(test: &str, script: &str) -> Option<Self> {
        let mut bench = Self::new(test)?;
        let initramfs = guest::with_init(bench.folder.path(), script).unwrap();
        bench.kernel().entry = Entry::Linux {
            initramfs: Some(initramfs),
        };
        bench.machine.net = false;
        Some(bench)
    }

    fn kernel(&mut self) -> &mut Kernel {
        match &mut self.machine.start {
            Start::Kernel(kernel) => kernel,
            other => panic!("{other:?}"),
        }
    }

    fn run(&mut self) -> Result<BootOutcome, BootError> {
        run(&self.machine, &self.options, &mut |event| {
            if let BootEvent::Line(line) = event {
                self.lines.push(line.to_owned());
            }
            ControlFlow::Continue(())
        })
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

fn linux(kernel: PathBuf, initramfs: Option<PathBuf>, cmdline: &str) -> Start {
    Start::Kernel(Kernel {
        file: kernel,
        cmdline: cmdline.to_owned(),
        entry: Entry::Linux { initramfs },
    })
}

/// The processes that a process has started and that are still there.
fn children(of: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{of}/task")).unwrap();
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok())
        .flat_map(|list| {
            let pids = list.split_whitespace().map(|pid| pid.parse().unwrap());
            pids.collect::<Vec<u32>>()
        })
        .collect()
}

fn has_children() -> bool {
    !children(std::process::id()).is_empty()
}

#[test]
fn hello_serves_its_page() {
    let Some(mut bench) = Bench::new("hello_serves_its_page") else {
        return;
    };
    bench.options.expect = Some("hello: serving http://0.0.0.0:80/".to_owned());
    bench.options.http = Some(HttpTest {
        port: 80,
        path: "/".to_owned(),
        expect: "Hello from a Lunikernel!".to_owned(),
    });
    let outcome = bench.run().unwrap();
    assert_eq!(outcome.accel, Accel::Tcg);
    assert_eq!(outcome.page.as_deref(), Some("Hello from a Lunikernel!\n"));
    assert_eq!(
        outcome.line.as_deref(),
        Some("hello: serving http://0.0.0.0:80/")
    );
    assert!(
        bench
            .lines
            .iter()
            .any(|line| line == "luni: hello 1.0.0 is up")
    );
    let complaints: Vec<_> = bench
        .lines
        .iter()
        .filter(|line| line.contains("luni: could not") || line.contains("not found"))
        .collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    assert!(!has_children());
    println!("booted in {:.1} s", outcome.took.as_secs_f32());
}

#[test]
fn automatic_acceleration_boots_whatever_the_machine_can_do() {
    let Some(mut bench) = Bench::new("automatic_acceleration") else {
        return;
    };
    bench.options.accel = AccelChoice::Auto;
    bench.options.expect = Some("luni: hello 1.0.0 is up".to_owned());
    let first = bench.run().unwrap();
    let begun = Instant::now();
    let second = bench.run().unwrap();
    assert_eq!(first.accel, second.accel);
    let probing = begun.elapsed().saturating_sub(second.took);
    assert!(
        probing < Duration::from_secs(2),
        "probed again: {probing:?}"
    );
}

#[test]
fn a_page_that_is_another_one_is_named() {
    let Some(mut bench) = Bench::new("a_page_that_is_another_one_is_named") else {
        return;
    };
    bench.options.http = Some(HttpTest {
        port: 80,
        path: "/nowhere".to_owned(),
        expect: "Hello".to_owned(),
    });
    bench.options.timeout = Some(Duration::from_secs(40));
    let error = bench.run().unwrap_err().to_string();
    assert!(error.contains("/nowhere"), "{error}");
    assert!(error.contains("status 404"), "{error}");
    assert!(!has_children());
}

#[test]
fn a_kernel_without_a_root_panics_at_once() {
    let Some(mut bench) = Bench::new("a_kernel_without_a_root_panics_at_once") else {
        return;
    };
    let empty = bench.file("empty", b"");
    bench.kernel().entry = Entry::Linux {
        initramfs: Some(empty),
    };
    bench.options.expect = Some("never".to_owned());
    match bench.run() {
        Err(BootError::Panic { line, last }) => {
            assert!(line.contains("Unable to mount root fs"), "{line}");
            assert!(last.len() > 5);
        }
        other => panic!("{other:?}"),
    }
    assert!(!has_children());
}

#[test]
fn a_flood_does_not_outlast_the_deadline() {
    let Some(mut bench) = Bench::with_init(
        "a_flood_does_not_outlast_the_deadline",
        "exec /bin/busybox yes flood",
    ) else {
        return;
    };
    bench.options.expect = Some("never".to_owned());
    bench.options.timeout = Some(Duration::from_secs(25));
    let begun = Instant::now();
    match bench.run() {
        Err(BootError::Deadline { awaited, last, .. }) => {
            assert_eq!(awaited, "`never` came on the console");
            assert_eq!(last.last().map(String::as_str), Some("flood"));
        }
        other => panic!("{other:?}"),
    }
    assert!(begun.elapsed() < Duration::from_secs(28));
    assert!(!has_children());
}

#[test]
fn a_guest_that_ends_is_told_from_one_that_answers() {
    let script = "printf 'prompt> '\n/bin/busybox sleep 1\n/bin/busybox poweroff -f";
    let Some(mut bench) = Bench::with_init("a_guest_that_ends", script) else {
        return;
    };
    assert_eq!(bench.run().unwrap().line, None);
    bench.options.expect = Some("prompt> ".to_owned());
    assert_eq!(bench.run().unwrap().line.as_deref(), Some("prompt> "));
    bench.options.expect = Some("never".to_owned());
    assert!(matches!(bench.run(), Err(BootError::Ended { .. })));
}

#[test]
fn what_qemu_refuses_is_passed_on() {
    let Some(mut bench) = Bench::new("what_qemu_refuses_is_passed_on") else {
        return;
    };
    let kernel = bench.kernel().file.clone();
    bench.kernel().file = bench.file("garbage", &[0x5a; 100]);
    bench.options.expect = Some("never".to_owned());
    bench.options.timeout = Some(Duration::from_secs(20));
    match bench.run() {
        Err(BootError::Qemu { message, .. }) => assert!(message.contains("kernel"), "{message}"),
        other => panic!("{other:?}"),
    }
    bench.kernel().file = PathBuf::from("/nonexistent");
    assert!(matches!(bench.run(), Err(BootError::Qemu { .. })));

    bench.kernel().file = kernel;
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let host = taken.local_addr().unwrap().port();
    bench.options.forwards = vec![Forward { host, guest: 80 }];
    match bench.run() {
        Err(BootError::PortTaken { port }) => assert_eq!(port, host),
        other => panic!("{other:?}"),
    }
}

/// Says to this program, run again by the next test, that it is to boot and be killed:
/// the folder of the guest that it boots.
const VICTIM: &str = "LUNI_TEST_BOOT_VICTIM";

#[test]
fn a_killed_runner_leaves_no_machine() {
    let test = "a_killed_runner_leaves_no_machine";
    if let Some(folder) = std::env::var_os(VICTIM) {
        let guest = guest::Guest::in_folder(Path::new(&folder));
        Bench::of(guest, None).run().unwrap();
        return;
    }
    let Some(mut bench) = Bench::new(test) else {
        return;
    };
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(VICTIM, bench.kernel().file.parent().unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    let qemu = loop {
        let machine = children(victim.id()).into_iter().find(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.starts_with("qemu-system")
        });
        match machine {
            Some(pid) => break pid,
            None => assert!(begun.elapsed() < Duration::from_secs(120), "no machine"),
        }
        assert_eq!(victim.try_wait().unwrap(), None, "it ended by itself");
        std::thread::sleep(Duration::from_millis(20));
    };
    victim.kill().unwrap();
    victim.wait().unwrap();
    let begun = Instant::now();
    while Path::new(&format!("/proc/{qemu}")).exists() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn without_qemu_the_package_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::new(folder.path());
    options.search = Some(folder.path().into());
    let machine = Machine {
        start: linux("kernel".into(), None, ""),
        memory_mib: 0,
        net: false,
    };
    let error = run(&machine, &options, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.hint().unwrap().contains("qemu-system-x86"));

    // A folder or a file that cannot be run is not QEMU either.
    fs::write(folder.path().join("qemu-system-x86_64"), "").unwrap();
    assert!(matches!(
        run(&machine, &options, &mut |_| ControlFlow::Continue(())),
        Err(BootError::NoQemu { .. })
    ));
}

#[test]
fn a_command_line_that_would_be_cut_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("qemu-system-x86_64");
    fs_err::os::unix::fs::symlink(Path::new("/bin/false"), &program).unwrap();
    let mut options = Options::new(folder.path());
    options.search = Some(folder.path().into());
    for cmdline in ["x".repeat(2048), "a\nb".to_owned()] {
        let machine = Machine {
            start: linux("kernel".into(), None, &cmdline),
            memory_mib: 0,
            net: false,
        };
        assert!(matches!(
            run(&machine, &options, &mut |_| ControlFlow::Continue(())),
            Err(BootError::Value { .. })
        ));
    }
}
