//! A recipe as its author writes it.
//!
//! These types are the recipe's grammar: they are what YAML is read into and what
//! the published JSON Schema is generated from. Their doc comments are therefore
//! written for the author of a recipe, who sees them in the editor.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::source::Source;

/// A recipe for a Lunikernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Recipe {
    /// The version of the recipe's grammar: always `lunikernel/v1`.
    #[serde(rename = "apiVersion")]
    pub api_version: ApiVersion,
    /// What it is called: lower-case letters, digits and `-`, beginning with a letter.
    #[schemars(regex(pattern = "^[a-z][a-z0-9-]{0,63}$"))]
    pub name: String,
    /// Its version, for people: `1.0.0`, for example.
    #[schemars(regex(pattern = "^[0-9A-Za-z][0-9A-Za-z.+~_-]{0,63}$"))]
    pub version: String,
    /// One line about it.
    #[serde(default)]
    pub summary: Option<String>,
    /// Where kernel and root file system come from, and how it boots.
    pub flavour: FlavourName,
    /// The processor it runs on.
    #[serde(default)]
    pub arch: Arch,
    /// Everything that goes in, by a name that the rest of the recipe refers to.
    #[serde(default)]
    pub sources: BTreeMap<String, Source>,
    /// Commands that are run in a sandbox, in order.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// The root file system.
    #[serde(default)]
    pub rootfs: RootfsSpec,
    /// The kernel.
    pub kernel: KernelSpec,
    /// How it boots.
    #[serde(default)]
    pub boot: Boot,
    /// Boots that show that it works.
    #[serde(default)]
    pub tests: Vec<BootTest>,
}

/// The version of the recipe's grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The first one.
    #[serde(rename = "lunikernel/v1")]
    V1,
}

/// Where kernel and root file system come from, and how it boots.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FlavourName {
    /// Alpine's minirootfs or packages, with OpenRC where it is there, and else a small
    /// init.
    Alpine,
    /// Kernel, busybox and whatever else from Debian packages, with a small init.
    Debian,
    /// TinyCore's Core, with its own init; extensions come from `tcz` sources.
    Tinycore,
    /// An image that Yocto has built, with its own init: a root file system as an
    /// archive, a kernel, and the list of its packages.
    Yocto,
    /// Any kernel that starts by multiboot or PVH, with the files that it takes along.
    Unikernel,
    /// A unikernel for Solo5, such as MirageOS makes.
    Mirage,
}

impl FlavourName {
    /// As recipes and manifests write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Alpine => "alpine",
            Self::Debian => "debian",
            Self::Tinycore => "tinycore",
            Self::Yocto => "yocto",
            Self::Unikernel => "unikernel",
            Self::Mirage => "mirage",
        }
    }
}

/// The processor it runs on.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Arch {
    /// 64-bit x86.
    #[default]
    #[serde(rename = "x86_64")]
    X86_64,
}

impl Arch {
    /// As Debian writes it.
    #[must_use]
    pub fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
        }
    }

    /// As Alpine writes it.
    #[must_use]
    pub fn alpine(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
        }
    }

    /// As the Remote Execution API writes it.
    #[must_use]
    pub fn isa(self) -> &'static str {
        match self {
            Self::X86_64 => "x86-64",
        }
    }

    /// As recipes and manifests write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
        }
    }
}

/// Commands that are run in a sandbox: nothing of the host in sight, and no network
/// unless what they make is pinned in the lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Step {
    /// What it is called; the rest of the recipe takes its outputs by this name.
    #[schemars(regex(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$"))]
    pub name: String,
    /// What is unpacked, one over the other, to the root of the sandbox: packages,
    /// archives, folders (`NAME`, or `NAME/PATH` for a part of it).
    #[schemars(length(min = 1))]
    pub root: Vec<String>,
    /// What lies in `/build` when it starts: a path there, and the source or earlier
    /// step that it comes from (`NAME`, or `NAME/PATH` for a part of it).
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
    /// The commands, run in `/build` by `/bin/sh -eu`.
    #[schemars(length(min = 1))]
    pub run: String,
    /// Environment variables beside those that every step has.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Files and folders in `/build` that are kept.
    #[schemars(length(min = 1), inner(regex(pattern = "^[^/]")))]
    pub outputs: Vec<String>,
    /// Whether it may use the network, to fill a download cache, for example. `luni lock`
    /// then runs it and pins what it makes.
    #[serde(default)]
    pub network: bool,
    /// How long it may take, in seconds.
    #[serde(default = "hour")]
    #[schemars(range(min = 1, max = 604_800))]
    pub timeout_seconds: u64,
    /// How much memory all its processes together may use, in MiB.
    #[serde(default = "four_gib")]
    #[schemars(range(min = 16, max = 4_194_304))]
    pub memory_mib: u64,
    /// How many processes and threads it may have at once.
    #[serde(default = "many_processes")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub processes: u64,
}

fn hour() -> u64 {
    3600
}

fn four_gib() -> u64 {
    4096
}

fn many_processes() -> u64 {
    1024
}

/// The root file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct RootfsSpec {
    /// What is unpacked, one over the other: packages, archives, folders (`NAME`, or
    /// `NAME/PATH` for a part of it).
    #[serde(default)]
    pub from: Vec<String>,
    /// Only for the flavour `yocto`: the image's manifest, which lists its packages
    /// (`NAME`, or `NAME/PATH` for a part of it). The bill of materials has them then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// Only for the flavour `yocto`: the list of the licences of the packages in
    /// `manifest`, which Yocto calls `license.manifest` (`NAME`, or `NAME/PATH`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licences: Option<String>,
    /// Paths that are left out of what was unpacked: manual pages, for example. A
    /// folder takes everything in it along.
    #[serde(default)]
    pub remove: Vec<String>,
    /// Files, folders, links and devices that are added, by absolute path.
    #[serde(default)]
    pub files: BTreeMap<String, FileSpec>,
    /// Users beside root.
    #[serde(default)]
    pub users: Vec<User>,
    /// Programs that are started when it has booted, and again when they end.
    #[serde(default)]
    pub services: BTreeMap<String, Service>,
}

/// A file, folder, link or device: exactly one of `from`, `content`, `symlink`,
/// `folder` and `device`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["from"]},
    {"required": ["content"]},
    {"required": ["symlink"]},
    {"required": ["folder"]},
    {"required": ["device"]},
]))]
pub struct FileSpec {
    /// A copy of a source's or step's file or folder: `NAME`, or `NAME/PATH` for a
    /// part of it.
    #[serde(default)]
    pub from: Option<String>,
    /// A file with this text.
    #[serde(default)]
    pub content: Option<String>,
    /// A symbolic link to this target.
    #[serde(default)]
    pub symlink: Option<String>,
    /// `true` for an empty folder.
    #[serde(default)]
    pub folder: Option<bool>,
    /// A device.
    #[serde(default)]
    pub device: Option<Device>,
    /// Its mode in octal, as text: `"0755"`. Without it 0755 for folders and
    /// executable files, 0644 for others.
    #[serde(default)]
    pub mode: Option<Mode>,
    /// The number of the user that owns it.
    #[serde(default)]
    #[schemars(range(max = 65_534))]
    pub uid: u32,
    /// The number of the group that owns it.
    #[serde(default)]
    #[schemars(range(max = 65_534))]
    pub gid: u32,
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Device {
    /// A character or a block device.
    pub kind: DeviceKind,
    /// Its major number.
    #[schemars(range(max = 4095))]
    pub major: u32,
    /// Its minor number.
    #[schemars(range(max = 1_048_575))]
    pub minor: u32,
}

/// A character or a block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// A character device.
    Char,
    /// A block device.
    Block,
}

/// Permission bits, written in octal as text: `"0755"`.
///
/// Text, because YAML 1.2 reads a bare `0755` as the decimal number 755.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

/// A user beside root, with a group of the same name and number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct User {
    /// The name.
    #[schemars(regex(pattern = "^[a-z_][a-z0-9_-]{0,31}$"))]
    pub name: String,
    /// The number of the user and of its group.
    #[schemars(range(min = 1, max = 65_534))]
    pub uid: u32,
    /// The home folder; it is not created.
    #[serde(default = "no_home")]
    pub home: String,
}

fn no_home() -> String {
    "/nonexistent".to_owned()
}

/// A program that is started when it has booted, and again when it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Service {
    /// The program's absolute path and its arguments.
    #[schemars(length(min = 1))]
    pub command: Vec<String>,
    /// The user that it runs as: `root`, one of `users`, or with the flavour `alpine` one that a package makes.
    #[serde(default = "root_user")]
    pub user: String,
    /// Environment variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

fn root_user() -> String {
    "root".to_owned()
}

/// The kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct KernelSpec {
    /// A kernel (`NAME`, or `NAME/PATH` for a part of it), which is then without
    /// modules; or what has one at `boot/vmlinuz-VERSION`, with its modules.
    /// For a unikernel the file that is booted.
    pub from: String,
    /// The modules that go into the initramfs, with those that they depend on. The
    /// word `cloud` stands for what clouds and hypervisors need: virtio, NVMe, ENA,
    /// gVNIC. Without it just `cloud`; a unikernel has none.
    #[serde(default)]
    pub modules: Option<Vec<String>>,
}

impl KernelSpec {
    /// The modules that go into an initramfs.
    #[must_use]
    pub fn modules(&self) -> Vec<String> {
        let cloud = || vec!["cloud".to_owned()];
        self.modules.clone().unwrap_or_else(cloud)
    }
}

/// How it boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Boot {
    /// The kernel's command line. Without it `console=ttyS0 panic=5` for Linux, and an
    /// empty one for a unikernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2047), regex(pattern = "^[ -~]*$"))]
    pub cmdline: Option<String>,
    /// The least memory that it needs, in MiB.
    #[serde(default = "small_machine")]
    #[schemars(range(min = 16, max = 1_048_576))]
    pub min_memory_mib: u32,
    /// Whether it wants a network interface.
    #[serde(default)]
    pub net: bool,
    /// Whether it wants a disk.
    #[serde(default)]
    pub block: bool,
    /// Files that are put into the memory beside a unikernel: multiboot's modules.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub modules: Vec<BootModule>,
    /// A tender of Solo5's that is kept with the unikernel: a source or step (`NAME`),
    /// or a part of it (`NAME/PATH`). `luni run --own-tender` runs the unikernel by it.
    #[serde(default)]
    pub tender: Option<String>,
}

/// A file that is put into the memory beside a unikernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct BootModule {
    /// The file: a source or step (`NAME`), or a part of it (`NAME/PATH`).
    pub from: String,
    /// The text that the unikernel finds with it.
    #[serde(default)]
    #[schemars(length(max = 1024), regex(pattern = "^[ -~]*$"))]
    pub cmdline: String,
}

impl Default for Boot {
    fn default() -> Self {
        Self {
            cmdline: None,
            min_memory_mib: small_machine(),
            net: false,
            block: false,
            modules: Vec::new(),
            tender: None,
        }
    }
}

fn small_machine() -> u32 {
    256
}

/// A boot that shows that it works; `luni run --test` does it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct BootTest {
    /// What is tested.
    pub name: String,
    /// A text that must appear in a line on the console.
    pub expect: String,
    /// How long that may take, in seconds. Emulation is slow: be generous.
    #[serde(default = "five_minutes")]
    #[schemars(range(min = 1, max = 86_400))]
    pub timeout_seconds: u64,
    /// A page that must be there then.
    #[serde(default)]
    pub http: Option<HttpTest>,
}

fn five_minutes() -> u64 {
    300
}

/// A page that must be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct HttpTest {
    /// The port that is listened on inside.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: u16,
    /// The page's path.
    #[serde(default = "front_page")]
    #[schemars(regex(pattern = "^/[!-~]*$"))]
    pub path: String,
    /// A text that must be in it.
    pub expect: String,
}

fn front_page() -> String {
    "/".to_owned()
}
