use super::{
    super::DbError,
    read::{page, place},
};
use cloister_model::{JobQuery, JobStatus, Phase};
use rusqlite::Connection;
use std::collections::BTreeSet;

/// Counting the jobs of a label stops here: labels with more are equally common.
const MANY: i64 = 1000;

/// A page of jobs, newest first: a range of one index, filtered by the other conditions of the query.
///
/// The index is that of phases if the query asks for phases of unfinished jobs only, because those jobs are few; otherwise
/// that of the label that the fewest jobs have; otherwise that of phases or of age.
pub(crate) fn list(db: &Connection, query: &JobQuery) -> Result<Vec<JobStatus>, DbError> {
    let JobQuery { labels, phases, after, at_most } = query;
    let most = usize::try_from(*at_most).unwrap_or(usize::MAX);
    if most == 0 || phases.as_ref().is_some_and(BTreeSet::is_empty) {
        return Ok(Vec::new());
    }
    let (created, id) = place(*after);
    let start = [(":created", &created as &dyn rusqlite::ToSql), (":id", &id)];
    let fits = |status: &JobStatus| {
        status.labels.matches(labels) && phases.as_ref().is_none_or(|phases| phases.contains(&status.phase))
    };
    let mut found = Vec::new();
    let label = rarest(db, labels)?;
    match (phases, label) {
        (Some(phases), label) if label.is_none() || phases.iter().all(|phase| !phase.has_ended()) => {
            for phase in phases {
                of_phase(db, *phase, &start, most, &fits, &mut found)?;
            }
            found.sort_by_key(|status| std::cmp::Reverse((status.created, status.id)));
            found.truncate(most);
        }
        (_, Some((name, value))) => {
            let sql = "SELECT status FROM label CROSS JOIN job USING (seq) WHERE name = :name AND value = :value
                AND (label.created, label.id) < (:created, :id) ORDER BY label.created DESC, label.id DESC";
            let parameters = [start[0], start[1], (":name", &name), (":value", &value)];
            page(db, sql, &parameters, |status| take(status, &fits, most, &mut found))?;
        }
        (_, None) => {
            let sql = "SELECT status FROM job WHERE (created, id) < (:created, :id) ORDER BY created DESC, id DESC";
            page(db, sql, &start, |status| take(status, &fits, most, &mut found))?;
        }
    }
    Ok(found)
}

fn of_phase(
    db: &Connection,
    phase: Phase,
    start: &[(&str, &dyn rusqlite::ToSql); 2],
    most: usize,
    fits: &dyn Fn(&JobStatus) -> bool,
    found: &mut Vec<JobStatus>,
) -> Result<(), DbError> {
    let sql = "SELECT status FROM job WHERE phase = :phase AND (created, id) < (:created, :id)
        ORDER BY created DESC, id DESC";
    let most = found.len().saturating_add(most);
    page(db, sql, &[start[0], start[1], (":phase", &phase.code())], |status| take(status, &fits, most, found))
}

/// Keeps a job that fits; returns whether there is room for more.
fn take(status: JobStatus, fits: &dyn Fn(&JobStatus) -> bool, most: usize, found: &mut Vec<JobStatus>) -> bool {
    if fits(&status) {
        found.push(status);
    }
    found.len() < most
}

/// The label that the fewest jobs have.
fn rarest<'a>(db: &Connection, labels: &'a cloister_model::Labels) -> Result<Option<(&'a str, &'a str)>, DbError> {
    let all: Vec<_> = labels.iter().collect();
    if let &[one] = all.as_slice() {
        return Ok(Some(one));
    }
    let sql = "SELECT count(*) FROM (SELECT 1 FROM label WHERE name = ?1 AND value = ?2 LIMIT ?3)";
    let mut rarest: Option<(i64, (&str, &str))> = None;
    for (name, value) in all {
        let jobs = db.prepare_cached(sql)?.query_row((name, value, MANY), |row| row.get(0))?;
        if rarest.is_none_or(|(fewest, _)| jobs < fewest) {
            rarest = Some((jobs, (name, value)));
        }
    }
    Ok(rarest.map(|(_, label)| label))
}
