//! Finding the smallest set that makes a difference, by delta debugging: halves first,
//! then ever smaller parts and what is left without them (Zeller and Hildebrandt,
//! "Simplifying and isolating failure-inducing input", 2002, section 3).

/// What a trial with some of the things said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// They make a difference.
    Differs,
    /// They make none, or it could not be told.
    Same,
    /// There may be no more trials.
    Stop,
}

/// The smallest part of `all` that still makes a difference, such that leaving out any one
/// of it makes none. `all` itself is taken to make one. Where trials run out it is the
/// smallest known until then, with `false`.
///
/// # Errors
/// What `trial` fails with.
pub(super) async fn smallest<T: Copy + PartialEq, E>(
    all: &[T],
    mut trial: impl AsyncFnMut(&[T]) -> Result<Answer, E>,
) -> Result<(Vec<T>, bool), E> {
    let mut guilty = all.to_vec();
    let mut parts = 2;
    'smaller: while guilty.len() > 1 {
        let size = guilty.len().div_ceil(parts);
        let chunks: Vec<Vec<T>> = guilty.chunks(size).map(<[T]>::to_vec).collect();
        for chunk in &chunks {
            match trial(chunk).await? {
                Answer::Differs => {
                    guilty.clone_from(chunk);
                    parts = 2;
                    continue 'smaller;
                }
                Answer::Same => {}
                Answer::Stop => return Ok((guilty, false)),
            }
        }
        // With two parts, what is left without one is the other.
        for chunk in chunks.iter().filter(|_| chunks.len() > 2) {
            let rest: Vec<T> = guilty
                .iter()
                .copied()
                .filter(|item| !chunk.contains(item))
                .collect();
            match trial(&rest).await? {
                Answer::Differs => {
                    guilty = rest;
                    parts = (parts - 1).max(2);
                    continue 'smaller;
                }
                Answer::Same => {}
                Answer::Stop => return Ok((guilty, false)),
            }
        }
        if size == 1 {
            break;
        }
        parts = (parts * 2).min(guilty.len());
    }
    Ok((guilty, true))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// What is found in `all` where it takes all of `needed`, and in how many trials.
    fn search(all: u32, needed: &[u32], most: usize) -> (Vec<u32>, bool, usize) {
        let all: Vec<u32> = (0..all).collect();
        let mut trials = 0;
        let searching = smallest(&all, async |some: &[u32]| {
            trials += 1;
            Ok::<_, Infallible>(if trials > most {
                Answer::Stop
            } else if needed.iter().all(|one| some.contains(one)) {
                Answer::Differs
            } else {
                Answer::Same
            })
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let Ok((found, whole)) = runtime.block_on(searching);
        (found, whole, trials)
    }

    #[test]
    fn each_single_one_is_found_in_few_trials() {
        for guilty in 0..22 {
            let (found, whole, trials) = search(22, &[guilty], 100);
            assert_eq!((found, whole), (vec![guilty], true));
            assert!(trials <= 10, "{trials}");
        }
    }

    #[test]
    fn those_that_only_work_together_are_found() {
        for (one, two) in [(0, 1), (0, 21), (10, 11), (3, 17)] {
            let (found, whole, trials) = search(22, &[one, two], 100);
            assert_eq!((found, whole), (vec![one, two], true));
            assert!(trials <= 60, "{trials}");
        }
        assert_eq!(search(8, &[1, 4, 6], 200).0, [1, 4, 6]);
    }

    #[test]
    fn it_stops_when_told_to_with_what_it_knows() {
        let (found, whole, trials) = search(22, &[3, 17], 4);
        assert!(!whole && trials == 5);
        assert!(found.contains(&3) && found.contains(&17), "{found:?}");
    }

    #[test]
    fn one_alone_takes_no_trial() {
        assert_eq!(search(1, &[0], 0), (vec![0], true, 0));
    }
}
