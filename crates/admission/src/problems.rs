//! Groups refusals that only differ in a name: ninety undefined functions give one line.

use crate::names;
use cloister_model::{Refusal, Rule};
use std::collections::BTreeMap;

/// The problem with one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem<'a> {
    pub(crate) rule: Rule,
    /// The kind of names, such as `unknown functions`.
    pub(crate) what: &'static str,
    /// The module that they are imported from; empty if the names include it.
    pub(crate) module: &'a str,
    pub(crate) advice: &'static str,
}

/// Names grouped by their problem.
#[derive(Debug, Default)]
pub(crate) struct Problems<'a>(BTreeMap<Problem<'a>, Vec<&'a str>>);

impl<'a> Problems<'a> {
    pub(crate) fn add(&mut self, problem: Problem<'a>, name: &'a str) {
        self.0.entry(problem).or_default().push(name);
    }

    pub(crate) fn into_refusals(self) -> impl Iterator<Item = Refusal> {
        self.0.into_iter().map(|(Problem { rule, what, module, advice }, names)| {
            let list = names::list(&names);
            let subject = match module {
                "" => format!("{what}: {list}"),
                module => format!("{what} from `{}`: {list}", names::cut(module, 60)),
            };
            Refusal::new(rule, &subject, advice)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_refusal_for_many_names() {
        let problem = Problem { rule: Rule::Import, what: "unknown functions", module: "env", advice: "Define them" };
        let mut problems = Problems::default();
        for name in ["a", "b", "c", "d", "e", "f"] {
            problems.add(problem, name);
        }
        problems.add(Problem { module: "", ..problem }, "g");
        let shown: Vec<String> = problems.into_refusals().map(|refusal| refusal.to_string()).collect();
        assert_eq!(
            shown,
            [
                "import: unknown functions: g. Define them",
                "import: unknown functions from `env`: a, b, c, d, e and 1 more. Define them",
            ]
        );
    }
}
