//! Kernels of the tests' own, compiled in the sandbox.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::exported::{Site, printed};
use super::project;

/// A kernel.
pub(crate) struct Kernel {
    source: &'static str,
    /// Where it is in the memory, as a linker script has it.
    address: &'static str,
    /// What it says last.
    done: &'static str,
}

/// Says what it is given, and is started by multiboot 2.
pub(crate) const TWO: Kernel = Kernel {
    source: concat!(
        include_str!("kernels/start.c"),
        include_str!("kernels/multiboot2.c")
    ),
    address: "1M",
    done: "two: done",
};

/// The same in a memory that is larger than what the recipe asks for.
pub(crate) const FAR: Kernel = Kernel {
    address: "256M",
    ..TWO
};

/// Says the codes of keys.
pub(crate) const ECHO: Kernel = Kernel {
    source: concat!(
        include_str!("kernels/start.c"),
        include_str!("kernels/echo.c")
    ),
    address: "1M",
    done: "echo: done",
};

/// What is in `recipes/unikernel/hello` beside its kernel.
const SHIPPED: [&str; 4] = [
    "recipe.yaml",
    "recipe.lock",
    "files/hello.ld",
    "files/module.txt",
];

impl Kernel {
    /// `recipes/unikernel/hello` with this kernel in place of its own, built in `folder`.
    /// `site` is that of the recipe.
    pub(crate) fn built(&self, site: &Site, folder: &Path) -> PathBuf {
        let recipe = folder.join("recipe");
        fs::create_dir_all(recipe.join("files")).unwrap();
        for file in SHIPPED {
            let shipped = project("recipes/unikernel/hello").join(file);
            fs::copy(shipped, recipe.join(file)).unwrap();
        }
        for (file, shipped, own) in [
            ("files/hello.ld", "1M", self.address),
            ("recipe.yaml", "hello: done", self.done),
        ] {
            let text = fs::read_to_string(recipe.join(file)).unwrap();
            assert!(text.contains(shipped), "{text}");
            fs::write(recipe.join(file), text.replace(shipped, own)).unwrap();
        }
        fs::write(recipe.join("files/hello.c"), self.source).unwrap();
        let zip = folder.join("own.luni.zip");
        for verb in ["lock", "build"] {
            let mut command = site.luni(&folder.join("cache"));
            command.current_dir(&recipe).arg(verb);
            if verb == "build" {
                command.arg("-o").arg(&zip);
            }
            printed(&command.output().unwrap());
        }
        zip
    }
}
