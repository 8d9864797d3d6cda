//! The order that needs give to steps.

use std::collections::VecDeque;

/// The steps, by place, each after those that it needs; or the circles, each from a step on to that step again.
///
/// `needs[step]` are the places of the steps that it needs.
pub(super) fn topological(needs: &[Vec<usize>]) -> Result<Vec<usize>, Vec<Vec<usize>>> {
    let mut missing: Vec<usize> = needs.iter().map(Vec::len).collect();
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    for (step, needed) in needs.iter().enumerate() {
        needed.iter().for_each(|needed| needed_by[*needed].push(step));
    }
    let mut ready: VecDeque<usize> = (0..needs.len()).filter(|step| missing[*step] == 0).collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(step) = ready.pop_front() {
        order.push(step);
        for next in &needed_by[step] {
            missing[*next] -= 1;
            if missing[*next] == 0 {
                ready.push_back(*next);
            }
        }
    }
    if order.len() == needs.len() { Ok(order) } else { Err(circles(needs, &missing)) }
}

/// One circle for each group of steps that hang together in circles.
fn circles(needs: &[Vec<usize>], missing: &[usize]) -> Vec<Vec<usize>> {
    let mut seen = vec![false; needs.len()];
    let mut circles = Vec::new();
    for start in 0..needs.len() {
        // Each step that waits for ever needs another one that does: going on from one to the next ends in a circle.
        let (mut path, mut step) = (Vec::new(), start);
        while missing[step] > 0 && !seen[step] {
            seen[step] = true;
            path.push(step);
            let Some(next) = needs[step].iter().find(|needed| missing[**needed] > 0) else { break };
            step = *next;
        }
        if let Some(begin) = path.iter().position(|on_path| *on_path == step).filter(|_| missing[step] > 0) {
            let mut circle = path.split_off(begin);
            circle.push(step);
            circles.push(circle);
        }
    }
    circles
}

/// For each step all that it needs, directly or not: `closure[step]` holds a bit for each. The order must be
/// [`topological`]'s.
pub(super) struct Closure {
    bits: Vec<Vec<u64>>,
}

impl Closure {
    pub(super) fn new(needs: &[Vec<usize>], order: &[usize]) -> Self {
        let words = needs.len().div_ceil(64);
        let mut bits = vec![vec![0; words]; needs.len()];
        for step in order {
            let mut own = vec![0_u64; words];
            for needed in &needs[*step] {
                own[needed / 64] |= 1 << (needed % 64);
                own.iter_mut().zip(&bits[*needed]).for_each(|(own, theirs)| *own |= theirs);
            }
            bits[*step] = own;
        }
        Self { bits }
    }

    /// Whether `step` needs `other`.
    pub(super) fn needs(&self, step: usize, other: usize) -> bool {
        self.bits[step][other / 64] & (1 << (other % 64)) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_after_what_they_need() {
        let needs = [vec![2], vec![0, 2], vec![], vec![]];
        assert_eq!(topological(&needs).unwrap(), [2, 3, 0, 1]);
        let closure = Closure::new(&needs, &[2, 3, 0, 1]);
        let needed = |step| (0..4).filter(|other| closure.needs(step, *other)).collect::<Vec<_>>();
        assert_eq!([needed(0), needed(1), needed(2), needed(3)], [vec![2], vec![0, 2], vec![], vec![]]);
    }

    #[test]
    fn each_circle_is_found_once() {
        assert_eq!(topological(&[vec![0]]).unwrap_err(), [[0, 0]]);
        // 3 waits for a circle and is in none.
        assert_eq!(topological(&[vec![1], vec![2], vec![0], vec![0]]).unwrap_err(), [[0, 1, 2, 0]]);
        let two = [vec![1], vec![0], vec![], vec![2, 4], vec![3]];
        assert_eq!(topological(&two).unwrap_err(), [[0, 1, 0], [3, 4, 3]]);
    }

    #[test]
    fn a_thousand_steps_that_all_need_each_other_are_no_burden() {
        let needs: Vec<Vec<usize>> = (0..1000).map(|step| (0..step).collect()).collect();
        let order = topological(&needs).unwrap();
        assert!(Closure::new(&needs, &order).needs(999, 0));
    }
}
