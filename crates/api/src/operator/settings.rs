use cloister_model::{Account, Secret};
use std::collections::BTreeSet;

/// What an operator decides about Ocean's API. By default nobody can start or see anything through it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorSettings {
    /// The Ethereum accounts of the Providers whose word is taken for who their consumers are. A Provider sees the jobs
    /// that it started, and no other's.
    pub providers: BTreeSet<Account>,
    /// The Ethereum account that orders must name as consumer, and that `GET /` shows; none: the zero address.
    pub address: Option<Account>,
    /// Whether requests are taken whose signature no rule can check, as Ocean's operator-service does unless told
    /// otherwise: anybody who reaches this service is every consumer then. Only from this machine, unless `insist`.
    /// For moving old clients over, and for Ocean's own test suite.
    pub unverified_signatures: bool,
    /// Whether such requests are taken from other machines, too. Never do this where a stranger can send one.
    pub insist: bool,
    /// Values of the header `Admin` that are taken besides operators' API keys, compared without letter case. Only while
    /// `unverified_signatures` is on.
    pub unverified_admins: Vec<Secret<String>>,
}
