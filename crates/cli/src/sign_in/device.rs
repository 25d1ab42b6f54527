use super::issuer::Answer;
use crate::output::shown;
use std::time::Duration;

/// What `slow_down` adds to the interval (RFC 8628, section 3.5).
const SLOWER: Duration = Duration::from_secs(5);

/// The longest wait between two questions, however often the issuer could not be reached.
const LONGEST: Duration = Duration::from_secs(60);

/// When the issuer is asked again whether the code was entered (RFC 8628, section 3.5). Decides only; it neither waits nor asks.
#[derive(Debug)]
pub(super) struct Poll {
    interval: Duration,
    lifetime: Duration,
}

/// What to do after an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Ask again after this time.
    Wait(Duration),
    /// There are tokens.
    Done,
    /// There will be none, and why.
    End(String),
}

impl Poll {
    /// Questions about a code that is good for `lifetime`, at least `interval` apart.
    pub(super) fn new(interval: Duration, lifetime: Duration) -> Self {
        Self { interval: interval.clamp(Duration::from_secs(1), LONGEST), lifetime }
    }

    /// The time before the first question.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// Decides, `elapsed` after the code was shown.
    pub(super) fn next(&mut self, answer: &Answer, elapsed: Duration) -> Next {
        match answer {
            Answer::Tokens(_) => return Next::Done,
            Answer::Refused { error, description } => match error.as_str() {
                "authorization_pending" => {}
                "slow_down" => self.interval += SLOWER,
                "access_denied" => return Next::End("the sign-in was refused at the issuer".to_owned()),
                "expired_token" => return Next::End(expired()),
                _ => {
                    let description = description.as_deref().map(|text| format!(": {}", shown(text)));
                    let description = description.unwrap_or_default();
                    return Next::End(format!("the issuer ended the sign-in ({}{description})", shown(error)));
                }
            },
            // Section 3.5: back off exponentially.
            Answer::Unreachable(_) => self.interval = (self.interval * 2).min(LONGEST),
        }
        if elapsed + self.interval < self.lifetime {
            return Next::Wait(self.interval);
        }
        match answer {
            Answer::Unreachable(why) => Next::End(format!("the issuer cannot be reached: {why}")),
            _ => Next::End(expired()),
        }
    }
}

fn expired() -> String {
    "the code was not entered in time: run `cloister login` again for another one".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(error: &str) -> Answer {
        Answer::Refused { error: error.to_owned(), description: Some("why\u{1b}".to_owned()) }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_asks_as_often_as_the_issuer_allows() {
        let mut poll = Poll::new(seconds(5), seconds(600));
        assert_eq!(poll.interval(), seconds(5));
        assert_eq!(poll.next(&refused("authorization_pending"), seconds(5)), Next::Wait(seconds(5)));
        assert_eq!(poll.next(&refused("slow_down"), seconds(10)), Next::Wait(seconds(10)));
        assert_eq!(poll.next(&refused("slow_down"), seconds(20)), Next::Wait(seconds(15)));
        assert_eq!(
            poll.next(&refused("authorization_pending"), seconds(35)),
            Next::Wait(seconds(15)),
            "it stays slower"
        );
        let gone = Answer::Unreachable("no answer".to_owned());
        assert_eq!(poll.next(&gone, seconds(50)), Next::Wait(seconds(30)));
        assert_eq!(poll.next(&gone, seconds(80)), Next::Wait(seconds(60)));
        assert_eq!(poll.next(&gone, seconds(140)), Next::Wait(seconds(60)), "no slower than once a minute");
    }

    #[test]
    fn an_interval_of_nothing_is_a_second() {
        assert_eq!(Poll::new(Duration::ZERO, seconds(60)).interval(), seconds(1));
        assert_eq!(Poll::new(seconds(1_000_000), seconds(60)).interval(), LONGEST);
    }

    #[test]
    fn it_ends_with_the_code_and_when_the_issuer_says_so() {
        let mut poll = Poll::new(seconds(5), seconds(60));
        assert_eq!(poll.next(&refused("authorization_pending"), seconds(54)), Next::Wait(seconds(5)));
        assert_eq!(poll.next(&refused("authorization_pending"), seconds(55)), Next::End(expired()));
        let gone = Poll::new(seconds(5), seconds(60)).next(&Answer::Unreachable("no route".to_owned()), seconds(59));
        assert!(matches!(&gone, Next::End(why) if why.contains("no route")), "{gone:?}");
        for (error, word) in [("access_denied", "refused"), ("expired_token", "in time"), ("invalid_client", "why")] {
            let Next::End(why) = Poll::new(seconds(5), seconds(60)).next(&refused(error), seconds(5)) else {
                panic!("{error}: it goes on")
            };
            assert!(why.contains(word) && !why.contains('\u{1b}'), "{why}");
        }
    }
}
