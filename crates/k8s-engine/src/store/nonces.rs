use super::{MANAGED_BY, group::Group};
use crate::cluster::{CallError, Cluster, call};
use cloister_model::{Sha256, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use std::{collections::BTreeMap, fmt, sync::Arc};

/// Books. A nonce is in the book of its digest, so that a replay meets it whichever replica gets the replay and whenever.
const BOOKS: u8 = 32;

/// The label of a book.
const LABEL: &str = "cloister.dev/nonces";

/// The key in a book.
const KEY: &str = "nonces";

/// Nonces of one book: about 900 KB.
const MOST: usize = 18_000;

/// How often a book is read again that another replica wrote.
const ATTEMPTS: u32 = 20;

/// Hexadecimal digits of a nonce that are kept: 128 bits.
const DIGITS: usize = 32;

type Digest = String;

/// The claims that wait for one book.
type Book = Group<Wanted, Result<bool, CallError>>;

/// The nonces that have been used, in ConfigMaps. A write names the version that was read: of two replicas that write at the
/// same time, one is told to read again, and finds what the other one wrote.
///
/// One object for each nonce would be a create and a delete for every signed request. What arrives at a replica while it
/// writes a book is written together.
#[derive(Clone)]
pub(crate) struct Nonces {
    api: Api<ConfigMap>,
    books: Arc<Vec<Arc<Book>>>,
}

/// A nonce that is claimed.
#[derive(Clone, Debug)]
struct Wanted {
    digest: Digest,
    until: u64,
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces").finish_non_exhaustive()
    }
}

impl Nonces {
    pub(crate) fn new(cluster: &Cluster) -> Self {
        let books = (0..BOOKS).map(|_| Arc::default()).collect();
        Self { api: cluster.system(), books: Arc::new(books) }
    }

    /// Whether the nonce was free. It is taken until that moment; what is over at `now` is forgotten.
    pub(crate) async fn claim(&self, key: Sha256, until: Timestamp, now: Timestamp) -> Result<bool, CallError> {
        let number = key.as_bytes().first().copied().unwrap_or_default() % BOOKS;
        let wanted = Wanted { digest: key.to_string().chars().take(DIGITS).collect(), until: until.unix_ms() };
        let Some(group) = self.books.get(usize::from(number)) else { return Ok(false) };
        let api = self.api.clone();
        let written = group.write(wanted, move |wanted| async move {
            match write(&api, &format!("nonces-{number:02}"), &wanted, now.unix_ms()).await {
                Ok(answers) => answers.into_iter().map(Ok).collect(),
                Err(error) => wanted.iter().map(|_| Err(error.clone())).collect(),
            }
        });
        let lost = || CallError::Unreachable { what: "store a nonce", words: "the writer was ended".to_owned() };
        written.await.unwrap_or_else(|| Err(lost()))
    }
}

async fn write(api: &Api<ConfigMap>, name: &str, wanted: &[Wanted], now: u64) -> Result<Vec<bool>, CallError> {
    for _ in 0..ATTEMPTS {
        let stored = call("read the nonces", || async { api.get_opt(name).await }).await?;
        let text = stored.as_ref().and_then(|book| book.data.as_ref()?.get(KEY)).map_or("", String::as_str);
        let (book, answers) = grant(read(text), wanted, now);
        if !answers.contains(&true) {
            return Ok(answers);
        }
        if book.len() > MOST {
            let words = format!("the book {name} is full: too many signed requests in a few minutes");
            return Err(CallError::Refused { what: "store a nonce", words });
        }
        let data = Some([(KEY.to_owned(), print(&book))].into());
        // Once: a write that may have been done must not find its own nonces and call them replays.
        let answer = match stored {
            Some(stored) => {
                let book = ConfigMap { data, ..stored };
                crate::cluster::call_once("store a nonce", api.replace(name, &PostParams::default(), &book)).await
            }
            None => {
                let labels = [(LABEL, "true"), MANAGED_BY].map(|(name, value)| (name.to_owned(), value.to_owned()));
                let metadata =
                    ObjectMeta { name: Some(name.to_owned()), labels: Some(labels.into()), ..ObjectMeta::default() };
                let book = ConfigMap { metadata, data, ..ConfigMap::default() };
                crate::cluster::call_once("store a nonce", api.create(&PostParams::default(), &book)).await
            }
        };
        match answer {
            Ok(_) => return Ok(answers),
            Err(CallError::Conflict | CallError::Exists | CallError::Missing) => {}
            Err(error) => return Err(error),
        }
    }
    Err(CallError::Unreachable {
        what: "store a nonce",
        words: "other replicas were faster, again and again".to_owned(),
    })
}

/// The book with the nonces that are granted, and for each whether it is. What is over is left out.
fn grant(mut book: BTreeMap<Digest, u64>, wanted: &[Wanted], now: u64) -> (BTreeMap<Digest, u64>, Vec<bool>) {
    book.retain(|_, until| *until > now);
    let mut answers = Vec::new();
    for Wanted { digest, until } in wanted {
        let free = !book.contains_key(digest);
        if free {
            book.insert(digest.clone(), *until);
        }
        answers.push(free);
    }
    (book, answers)
}

fn read(text: &str) -> BTreeMap<Digest, u64> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(digest, until)| Some((digest.to_owned(), until.parse().ok()?)))
        .collect()
}

fn print(book: &BTreeMap<Digest, u64>) -> String {
    book.iter().map(|(digest, until)| format!("{digest} {until}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(digest: &str, until: u64) -> Wanted {
        Wanted { digest: digest.to_owned(), until }
    }

    #[test]
    fn of_two_equal_nonces_one_is_granted() {
        let (book, answers) = grant(BTreeMap::new(), &[wanted("a", 10), wanted("a", 20), wanted("b", 10)], 5);
        assert_eq!(answers, [true, false, true]);
        let (book, answers) = grant(read(&print(&book)), &[wanted("a", 99), wanted("c", 10)], 9);
        assert_eq!(answers, [false, true]);
        assert_eq!(book.len(), 3);
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let (book, _) = grant(BTreeMap::new(), &[wanted("a", 10), wanted("b", 30)], 5);
        let (book, answers) = grant(book, &[wanted("a", 40)], 10);
        assert_eq!((answers, book.len()), (vec![true], 2));
    }
}
