//! Parts of a recipe's materials, without a Lunikernel around them.

use std::collections::BTreeMap;

use lunikernel_cache::Digest;
use lunikernel_cache::tree::Entry;

use super::{BuildError, Builder, Material};
use crate::lock::LockedRecipe;

impl Builder {
    /// Fetches and unpacks the sources of `locked`, runs its steps, and gives the digests of
    /// the files that `references` (`NAME/PATH`) stand for. They are in the store then.
    ///
    /// # Errors
    /// [`BuildError`]: what keeps a build from getting so far, and
    /// [`BuildError::NoSuchPart`] where a reference stands for no file.
    pub async fn parts(
        &self,
        locked: &LockedRecipe,
        references: &[&str],
    ) -> Result<BTreeMap<String, Digest>, BuildError> {
        self.fetch(locked).await?;
        tokio::task::block_in_place(|| {
            let mut materials = self.unpack(locked)?;
            self.run_steps(locked, &locked.recipe().steps, &mut materials)?;
            let digest = |reference: &str| match materials.get(reference)? {
                Material::Entry(Entry::File { digest, .. }) => Ok(digest),
                _ => {
                    let (name, path) = reference.split_once('/').unwrap_or((reference, ""));
                    Err(BuildError::NoSuchPart {
                        name: name.to_owned(),
                        path: path.to_owned(),
                        of_step: materials.is_step(name),
                        there: Vec::new(),
                    })
                }
            };
            let parts = references
                .iter()
                .map(|it| Ok(((*it).to_owned(), digest(it)?)));
            parts.collect()
        })
    }
}
