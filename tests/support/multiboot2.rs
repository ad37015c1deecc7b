//! A kernel that starts by multiboot 2, compiled in the sandbox.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::exported::{Site, printed};
use super::project;

/// What is in `recipes/unikernel/hello` beside its kernel.
const SHIPPED: [&str; 4] = [
    "recipe.yaml",
    "recipe.lock",
    "files/hello.ld",
    "files/module.txt",
];

/// Where kernels usually are in the memory, and where in the linker script.
pub(crate) const USUAL: &str = "1M";

/// `recipes/unikernel/hello` with that kernel in place of its own, at `address` in the
/// memory, built in `folder`. `site` is that of the recipe.
pub(crate) fn built(site: &Site, folder: &Path, address: &str) -> PathBuf {
    let recipe = folder.join("recipe");
    fs::create_dir_all(recipe.join("files")).unwrap();
    for file in SHIPPED {
        let shipped = project("recipes/unikernel/hello").join(file);
        fs::copy(shipped, recipe.join(file)).unwrap();
    }
    for (file, shipped, own) in [
        ("files/hello.ld", USUAL, address),
        ("recipe.yaml", "hello: done", "two: done"),
    ] {
        let text = fs::read_to_string(recipe.join(file)).unwrap();
        assert!(text.contains(shipped), "{text}");
        fs::write(recipe.join(file), text.replace(shipped, own)).unwrap();
    }
    let kernel = include_str!("multiboot2.c");
    fs::write(recipe.join("files/hello.c"), kernel).unwrap();
    let zip = folder.join("two.luni.zip");
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
