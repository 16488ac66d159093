//! Makes a script that fails as short as it will get: drops halves, quarters, ... single steps, as long as it still fails.

use anyhow::Result;

use super::script::Step;
use super::twins::Difference;

/// How often a script may be run again to shorten it.
const TRIES: usize = 400;

/// The shortest script found that still shows a difference, and that difference. `fails` runs a script.
///
/// # Errors
/// Passes on those of `fails`.
pub fn shrink(
    script: &[Step],
    first: Difference,
    mut fails: impl FnMut(&[Step]) -> Result<Option<Difference>>,
) -> Result<(Vec<Step>, Difference)> {
    let mut best = script[..(first.step + 1).min(script.len())].to_vec();
    let mut difference = first;
    let mut chunk = best.len().div_ceil(2).max(1);
    let mut tries = 0;
    loop {
        let mut at = 0;
        while at < best.len() && tries < TRIES {
            let end = (at + chunk).min(best.len());
            let shorter = [&best[..at], &best[end..]].concat();
            tries += 1;
            match fails(&shorter)? {
                Some(other) => {
                    best = shorter[..(other.step + 1).min(shorter.len())].to_vec();
                    difference = other;
                }
                None => at += chunk,
            }
        }
        if chunk == 1 || tries >= TRIES {
            return Ok((best, difference));
        }
        chunk = chunk.div_ceil(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_steps_that_matter_are_left() {
        let script: Vec<Step> = (0..100).map(|slot| Step::Drop { slot }).collect();
        let fails = |script: &[Step]| {
            let at = |n| {
                script
                    .iter()
                    .position(|step| *step == Step::Drop { slot: n })
            };
            Ok(match (at(17), at(71)) {
                (Some(a), Some(b)) if a < b => Some(Difference {
                    step: b,
                    text: String::new(),
                }),
                _ => None,
            })
        };
        let first = fails(&script).unwrap().unwrap();
        let (least, difference) = shrink(&script, first, fails).unwrap();
        assert_eq!(
            least,
            vec![Step::Drop { slot: 17 }, Step::Drop { slot: 71 }]
        );
        assert_eq!(difference.step, 1);
    }
}
