//! Users of a recipe in a system that has users of its own.

use lunikernel_cache::{BlobStore, Digest, Node, NodeKind, Rootfs};

use super::FlavourError;
use super::debian::guest::GuestError;
use crate::recipe::Recipe;

/// Adds the recipe's users to those of `system`, as it is called in messages. Nobody of
/// them can log in.
///
/// # Errors
/// [`GuestError::User`] where the system has one of that name or number.
pub(super) fn add(
    system: &str,
    recipe: &Recipe,
    root: &mut Rootfs,
    blobs: &BlobStore,
) -> Result<(), FlavourError> {
    let users = &recipe.rootfs.users;
    if users.is_empty() {
        return Ok(());
    }
    let (passwd, groups) = (
        text(root, "etc/passwd", blobs)?,
        text(root, "etc/group", blobs)?,
    );
    for user in users {
        let taken = |text: &str| {
            text.lines().any(|line| {
                let mut fields = line.split(':');
                let (name, number) = (fields.next(), fields.nth(1));
                name == Some(&user.name) || number == Some(user.uid.to_string().as_str())
            })
        };
        if taken(&passwd) || taken(&groups) {
            let user = user.name.clone();
            let why = format!("{system} has a user or group of that name or number");
            return Err(GuestError::User { user, why }.into());
        }
    }
    let line = |format: &dyn Fn(&str, u32, &str) -> String| -> String {
        let lines = users.iter();
        lines
            .map(|user| format(&user.name, user.uid, &user.home))
            .collect()
    };
    // Without a password that anything could be equal to, be it here or there.
    let has_shadow = root.get("etc/shadow").is_some();
    let password = if has_shadow { 'x' } else { '*' };
    let passwd = passwd
        + &line(&|name, uid, home| {
            format!("{name}:{password}:{uid}:{uid}:{name}:{home}:/bin/false\n")
        });
    let groups = groups + &line(&|name, uid, _| format!("{name}:x:{uid}:\n"));
    let mut files = vec![("etc/passwd", passwd), ("etc/group", groups)];
    if has_shadow {
        let shadow = text(root, "etc/shadow", blobs)?
            + &line(&|name, _, _| format!("{name}:*:13509:0:99999:7:::\n"));
        files.push(("etc/shadow", shadow));
    }
    for (path, text) in files {
        let content = blobs.put(text.as_bytes())?;
        let node = replaced(root.get(path), content);
        root.insert(path, node)?;
    }
    Ok(())
}

/// The text of a file, complete lines; nothing where there is none.
///
/// # Errors
/// As the store has them.
pub(super) fn text(root: &Rootfs, path: &str, blobs: &BlobStore) -> Result<String, FlavourError> {
    let Some(NodeKind::File { content, .. }) = root.get(path).map(|node| &node.kind) else {
        return Ok(String::new());
    };
    let mut text = String::from_utf8_lossy(&blobs.read(content)?).into_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// A file with other content, and the owner and mode that it had.
fn replaced(old: Option<&Node>, content: Digest) -> Node {
    let fresh = Node::file(0o600, content);
    match old {
        Some(old) => Node {
            kind: fresh.kind,
            ..old.clone()
        },
        None => fresh,
    }
}
