//! The differences between two lists of lines.

use std::fmt;

/// A line that one of the two has and the other has not, in this place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// True for a line of rrun, false for one of the reference.
    pub(crate) rrun: bool,
    pub(crate) line: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", if self.rrun { "rrun +" } else { "runc -" }, self.line)
    }
}

/// The fewest lines to take out of `reference` and to put in for `rrun`: a longest common subsequence.
pub(crate) fn differences(reference: &[String], rrun: &[String]) -> Vec<Difference> {
    let (n, m) = (reference.len(), rrun.len());
    let mut common = vec![vec![0u32; m + 1]; n + 1];
    for i in (0..n).rev() {
        for j in (0..m).rev() {
            common[i][j] = match reference[i] == rrun[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut found = Vec::new();
    while i < n || j < m {
        if i < n && j < m && reference[i] == rrun[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == m || (i < n && common[i + 1][j] >= common[i][j + 1]) {
            found.push(Difference { rrun: false, line: reference[i].clone() });
            i += 1;
        } else {
            found.push(Difference { rrun: true, line: rrun[j].clone() });
            j += 1;
        }
    }
    found
}

#[test]
fn a_line_more_is_one_difference() {
    let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let found = differences(&lines("a b c d"), &lines("a c x d"));
    let shown: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["runc - b", "rrun + x"]);
    assert!(differences(&lines("a b"), &lines("a b")).is_empty());
}
