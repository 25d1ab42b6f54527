use super::{JobError, access::reaches};
use crate::{
    Actor, Principal, Provider, UseCases,
    labels::{AGREEMENT, ALGORITHM, OWNER, PROVIDER, dataset_label, of_publisher},
};
use cloister_model::{
    Account, Did, EngineError, JobCursor, JobId, JobQuery, JobStatus, Labels, Phase, ResultFile, ResultSet, Role,
};
use std::{cmp::Reverse, collections::BTreeSet};

/// Jobs that are read from the engine at once.
const PAGE: u32 = 200;

/// Which jobs a principal asks for.
#[derive(Clone, Debug)]
pub struct JobFilter {
    /// Those of this account. Only operators may name another account than their own. None, and no dataset: the caller's own
    /// and those on the caller's datasets.
    pub owner: Option<Account>,
    /// Those on this dataset: the caller's own, or those of all accounts if the caller published the dataset.
    pub dataset: Option<Did>,
    /// Those of this algorithm.
    pub algorithm: Option<Did>,
    /// Those in one of these phases; none: in any.
    pub phases: Option<BTreeSet<Phase>>,
    /// Those after this place; none: from the newest on.
    pub after: Option<JobCursor>,
    /// At most so many.
    pub at_most: u32,
}

/// A part of a list of jobs, the newest first.
#[derive(Clone, Debug)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<JobStatus>,
    /// The place after which the rest begins; none: this is the end.
    pub next: Option<JobCursor>,
}

/// Which of the jobs that an Ocean Provider reaches it asks for.
#[derive(Clone, Debug, Default)]
pub struct ProviderFilter {
    /// Those of this agreement.
    pub agreement: Option<String>,
    /// The one of this name. A text that is not the name of a job names no job.
    pub job: Option<String>,
    /// Those on this dataset.
    pub dataset: Option<Did>,
    /// Those that have not ended.
    pub unfinished: bool,
    /// At most so many, the newest.
    pub at_most: usize,
}

impl UseCases {
    /// The jobs that a principal may see and asks for.
    ///
    /// # Errors
    /// [`JobError::OthersJobs`], [`JobError::Engine`], [`JobError::Store`].
    pub async fn jobs(&self, who: &Principal, filter: JobFilter) -> Result<JobPage, JobError> {
        let visible = self.visible(who, &filter).await?;
        let JobFilter { phases, after, at_most, .. } = filter;
        let mut jobs: Vec<JobStatus> = Vec::new();
        for labels in visible {
            // One more, to know whether there is a next page.
            let query = JobQuery { labels, phases: phases.clone(), after, at_most: at_most.saturating_add(1) };
            jobs.extend(self.backend().list(query).await?);
        }
        // A job of one's own on one's own dataset is found twice.
        jobs.sort_by_key(|job| Reverse(cursor(job)));
        jobs.dedup_by_key(|job| job.id);
        let more = jobs.len() > at_most as usize;
        jobs.truncate(at_most as usize);
        let next = jobs.last().filter(|_| more).map(cursor);
        Ok(JobPage { jobs, next })
    }

    /// The labels of the jobs that a principal may see of those that it asks for: jobs with all labels of any of these.
    async fn visible(&self, who: &Principal, filter: &JobFilter) -> Result<Vec<Labels>, JobError> {
        let operates = who.is(Role::Operator);
        let owner = match &filter.owner {
            Some(owner) if operates || *owner == who.account => Some(owner),
            Some(_) => return Err(JobError::OthersJobs),
            None if operates => None,
            None => Some(&who.account),
        };
        let published = match &filter.dataset {
            Some(did) if filter.owner.is_none() => {
                self.read_asset(&who.account, did.clone(), |asset| asset.owner == who.account).await?.is_some()
            }
            _ => false,
        };
        let dataset = filter.dataset.as_ref().map(|did| (dataset_label(did), did.id().to_owned()));
        let wanted = [
            owner.filter(|_| !published).map(|owner| (OWNER.to_owned(), owner.key().to_owned())),
            dataset,
            filter.algorithm.as_ref().map(|did| (ALGORITHM.to_owned(), did.id().to_owned())),
        ];
        let own = labels(wanted).unwrap_or_default();
        if filter.owner.is_some() || operates || filter.dataset.is_some() {
            return Ok(vec![own]);
        }
        // The request names no owner and no dataset: jobs of others on datasets of this principal, too.
        let algorithm = filter.algorithm.as_ref().map(|did| (ALGORITHM.to_owned(), did.id().to_owned()));
        let on_own_datasets = of_publisher(&who.account).and_then(|labels| match &algorithm {
            Some((name, value)) => labels.with(name, value),
            None => Ok(labels),
        });
        Ok(std::iter::once(own).chain(on_own_datasets.ok()).collect())
    }

    /// The jobs that a Provider reaches and asks for, the newest first.
    ///
    /// # Errors
    /// [`JobError::Engine`].
    pub async fn jobs_of_provider(
        &self,
        provider: &Provider,
        filter: &ProviderFilter,
    ) -> Result<Vec<JobStatus>, JobError> {
        let ProviderFilter { agreement, job, dataset, unfinished, at_most } = filter;
        let Provider { account, consumer } = provider;
        // What cannot be a label is the label of no job.
        let Some(labels) = labels([
            account.as_ref().map(|account| (PROVIDER.to_owned(), account.key().to_owned())),
            consumer.as_ref().map(|account| (OWNER.to_owned(), account.key().to_owned())),
            agreement.as_ref().map(|agreement| (AGREEMENT.to_owned(), agreement.clone())),
            dataset.as_ref().map(|did| (dataset_label(did), did.id().to_owned())),
        ]) else {
            return Ok(Vec::new());
        };
        let Some(job) = job else { return self.newest(labels, *unfinished, *at_most).await };
        let Ok(job) = job.parse::<JobId>() else { return Ok(Vec::new()) };
        match self.backend().status(job).await {
            Ok(job) if job.labels.matches(&labels) && !(*unfinished && job.phase.has_ended()) => Ok(vec![job]),
            Ok(_) | Err(EngineError::NoSuchJob(_)) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    async fn newest(&self, labels: Labels, unfinished: bool, at_most: usize) -> Result<Vec<JobStatus>, JobError> {
        let phases = unfinished.then(|| Phase::ALL.into_iter().filter(|phase| !phase.has_ended()).collect());
        let mut jobs: Vec<JobStatus> = Vec::new();
        while jobs.len() < at_most {
            let after = jobs.last().map(cursor);
            let query = JobQuery { labels: labels.clone(), phases: phases.clone(), after, at_most: PAGE };
            let page = self.backend().list(query).await?;
            let last = page.len() < PAGE as usize;
            jobs.extend(page);
            if last {
                break;
            }
        }
        jobs.truncate(at_most);
        Ok(jobs)
    }

    /// The datasets of a job in the order of its request, which labels do not keep.
    ///
    /// # Errors
    /// [`JobError::NotFound`] if the actor does not reach the job, or it was removed meanwhile; [`JobError::Engine`].
    pub async fn datasets_of_job(&self, actor: &Actor, job: &JobStatus) -> Result<Vec<Did>, JobError> {
        reached(actor, job)?;
        let datasets = crate::datasets_of(&job.labels);
        if datasets.len() < 2 {
            return Ok(datasets);
        }
        Ok(self.backend().card(job.id).await?.inputs)
    }

    /// What a job of a Provider has released, for its list of results.
    ///
    /// # Errors
    /// As [`UseCases::datasets_of_job`].
    pub async fn released_files(&self, actor: &Actor, job: &JobStatus) -> Result<Vec<ResultFile>, JobError> {
        reached(actor, job)?;
        match job.phase.has_ended() {
            true => Ok(self.backend().results(job.id, ResultSet::Released).await?),
            false => Ok(Vec::new()),
        }
    }
}

/// Checks that the actor may see this job, by its labels.
fn reached(actor: &Actor, job: &JobStatus) -> Result<(), JobError> {
    let reached = match actor {
        Actor::Provider(provider) => reaches(provider, &job.labels),
        Actor::Principal(who) => who.is(Role::Operator) || job.labels.get(OWNER) == Some(who.account.key()),
    };
    if reached { Ok(()) } else { Err(JobError::NotFound) }
}

fn cursor(job: &JobStatus) -> JobCursor {
    JobCursor { created: job.created, job: job.id }
}

/// These labels; none if one of them cannot be a label.
fn labels<const N: usize>(wanted: [Option<(String, String)>; N]) -> Option<Labels> {
    let mut wanted = wanted.into_iter().flatten();
    wanted.try_fold(Labels::new(), |labels, (name, value)| labels.with(&name, &value)).ok()
}
