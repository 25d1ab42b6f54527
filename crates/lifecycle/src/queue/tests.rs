use super::*;
use crate::testing::{at, filtering, publishing};
use cloister_model::StoreWait;
use proptest::{collection::vec, prelude::*};
use std::collections::HashSet;

const GIB: u64 = 1 << 30;

fn waiting(number: u8, queue: &str, memory_bytes: u64) -> Waiting {
    Waiting { job: JobId::from_bytes([number; 16]), queue: queue.to_owned(), memory_bytes }
}

fn schedule(jobs: u64, memory_bytes: u64) -> Schedule {
    Schedule::new(Capacity { jobs, cpus: 100, memory_bytes, reserved: 0 })
}

fn number(waiting: &Waiting) -> u8 {
    waiting.job.to_string().get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).expect("a number")
}

/// Runs one job after the other.
fn order(schedule: &mut Schedule) -> Vec<u8> {
    let mut order = Vec::new();
    loop {
        let started = schedule.decide();
        if started.is_empty() {
            return order;
        }
        for waiting in started {
            order.push(number(&waiting));
            schedule.end(waiting.job);
        }
    }
}

#[test]
fn queues_take_turns_and_each_is_first_in_first_out() {
    let mut schedule = schedule(1, GIB);
    for (number, queue) in [(1, "a"), (2, "a"), (3, "a"), (4, "b"), (5, "c"), (6, "b")] {
        schedule.wait(waiting(number, queue, 1));
    }
    let ahead: Vec<_> = [(1, "a"), (4, "b"), (5, "c"), (2, "a"), (6, "b"), (3, "a")]
        .into_iter()
        .map(|(number, queue)| schedule.ahead(JobId::from_bytes([number; 16]), queue))
        .collect();
    assert_eq!(ahead, (0..6).map(Some).collect::<Vec<_>>());
    assert_eq!(order(&mut schedule), [1, 4, 5, 2, 6, 3]);
}

#[test]
fn long_jobs_of_one_queue_do_not_keep_the_others_out() {
    let mut schedule = Schedule::new(Capacity { jobs: 4, cpus: 2, memory_bytes: 8 * GIB, reserved: 1 });
    (1..=5).for_each(|number| schedule.wait(waiting(number, "a", GIB)));
    assert_eq!(schedule.decide().len(), 2, "all processors");
    assert_eq!(schedule.lacking("a", GIB), Lacking::Processor);
    schedule.wait(waiting(6, "b", GIB));
    schedule.wait(waiting(7, "b", GIB));
    assert_eq!(schedule.decide().iter().map(number).collect::<Vec<_>>(), [6]);
    assert_eq!(schedule.lacking("b", GIB), Lacking::Processor, "one beyond, and no more");
    assert_eq!(schedule.lacking("c", GIB), Lacking::Processor);
}

#[test]
fn large_jobs_of_one_queue_leave_memory_to_the_others() {
    let mut schedule = Schedule::new(Capacity { jobs: 9, cpus: 9, memory_bytes: 8 * GIB, reserved: 1 });
    (1..=5).for_each(|number| schedule.wait(waiting(number, "a", 3 * GIB)));
    assert_eq!(schedule.decide().len(), 2);
    assert_eq!(schedule.lacking("a", 2 * GIB), Lacking::Share(0));
    schedule.wait(waiting(6, "b", 2 * GIB));
    assert_eq!(schedule.decide().len(), 1);
    assert_eq!(schedule.lacking("c", GIB), Lacking::Memory(0));
}

#[test]
fn without_places_nothing_starts() {
    let mut schedule = Schedule::new(Capacity { jobs: 0, cpus: 1, memory_bytes: GIB, reserved: 1 });
    schedule.wait(waiting(1, "a", 1));
    assert_eq!(schedule.decide(), []);
}

#[test]
fn processors_count_as_places_do() {
    let mut schedule = Schedule::new(Capacity { jobs: 10, cpus: 2, memory_bytes: GIB, reserved: 0 });
    (1..=3).for_each(|number| schedule.wait(waiting(number, "a", 1)));
    let started = schedule.decide();
    assert_eq!(started.len(), 2);
    assert_eq!(schedule.lacking("a", 1), Lacking::Processor);
    // Results of one are being stored: others may compute.
    schedule.rest(started[0].job);
    assert_eq!(schedule.decide().len(), 1);
}

#[test]
fn a_job_that_rests_keeps_its_place() {
    let mut schedule = schedule(1, GIB);
    (1..=2).for_each(|number| schedule.wait(waiting(number, "a", GIB)));
    let started = schedule.decide();
    schedule.rest(started[0].job);
    assert_eq!((schedule.decide(), schedule.lacking("a", 1)), (vec![], Lacking::Place));
    schedule.end(started[0].job);
    assert_eq!(schedule.decide().len(), 1);
}

/// Nothing runs for it, and the store may be away for a day.
#[test]
fn a_job_that_waits_for_the_result_store_has_no_place() {
    for (status, place) in [(publishing(), Place::Rests), (filtering(), Place::Runs)] {
        assert_eq!(Place::of(&status), place);
        let wait = StoreWait { since: at(1), failures: 1, next: at(2), until: at(3), why: String::new() };
        assert_eq!(Place::of(&JobStatus { store_wait: Some(wait), ..status }), Place::None);
    }
}

#[test]
fn a_big_job_is_passed_but_not_for_ever() {
    let mut schedule = schedule(100, GIB);
    schedule.wait(waiting(1, "small", GIB / 2));
    assert_eq!(schedule.decide().len(), 1);
    schedule.wait(waiting(200, "big", GIB));
    assert_eq!(schedule.lacking("a", GIB), Lacking::Memory(GIB / 2));
    // Small ones without end, each as soon as one has ended.
    let mut last = waiting(1, "small", GIB / 2).job;
    for step in 2..100 {
        schedule.wait(waiting(step, "small", GIB / 2));
        let started = schedule.decide();
        schedule.end(last);
        let Some(next) = started.into_iter().chain(schedule.decide()).next() else { continue };
        if number(&next) == 200 {
            assert!(u32::from(step) <= MOST_PASSES + 4, "after {step}");
            return;
        }
        last = next.job;
    }
    panic!("the big job never started");
}

#[test]
fn who_leaves_is_not_started() {
    let mut schedule = schedule(1, GIB);
    schedule.wait(waiting(1, "a", 1));
    schedule.wait(waiting(2, "a", 1));
    schedule.leave(JobId::from_bytes([1; 16]), "a");
    schedule.leave(JobId::from_bytes([9; 16]), "nobody");
    assert_eq!(order(&mut schedule), [2]);
    assert_eq!(schedule.ahead(JobId::from_bytes([1; 16]), "a"), None);
}

#[derive(Clone, Debug)]
enum Act {
    Wait { queue: u8, memory: u64 },
    End(usize),
    Leave(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0_u8..4, 1_u64..=100).prop_map(|(queue, memory)| Act::Wait { queue, memory }),
        3 => any::<usize>().prop_map(Act::End),
        1 => any::<usize>().prop_map(Act::Leave),
    ]
}

proptest! {
    #[test]
    fn limits_hold_order_holds_and_everybody_gets_a_turn(acts in vec(act(), 0..200), jobs in 1_u64..5, cpus in 1_u64..5) {
        let mut schedule = Schedule::new(Capacity { jobs, cpus, memory_bytes: 100, reserved: 0 });
        let (mut running, mut queued) = (Vec::<Waiting>::new(), Vec::<Waiting>::new());
        let mut next = 0_u8;
        let mut started = HashSet::new();
        let mut start = |schedule: &mut Schedule, running: &mut Vec<Waiting>, queued: &mut Vec<Waiting>| {
            for job in schedule.decide() {
                // The first of its queue, once.
                let place = queued.iter().position(|other| other.queue == job.queue).expect("queued");
                assert_eq!(queued.remove(place), job);
                assert!(started.insert(job.job));
                running.push(job);
            }
            assert!(running.len() as u64 <= jobs.min(cpus));
            assert!(running.iter().map(|job| job.memory_bytes).sum::<u64>() <= 100);
            // What fits and is the only one is never left waiting.
            if running.is_empty() {
                assert!(queued.is_empty());
            }
        };
        for act in acts {
            match act {
                Act::Wait { queue, memory } if next < 250 => {
                    next += 1;
                    let job = waiting(next, &queue.to_string(), memory);
                    queued.push(job.clone());
                    schedule.wait(job);
                }
                Act::End(which) if !running.is_empty() => {
                    let job = running.remove(which % running.len());
                    schedule.end(job.job);
                }
                Act::Leave(which) if !queued.is_empty() => {
                    let job = queued.remove(which % queued.len());
                    schedule.leave(job.job, &job.queue);
                }
                Act::Wait { .. } | Act::End(_) | Act::Leave(_) => {}
            }
            start(&mut schedule, &mut running, &mut queued);
        }
        // Everybody who still waits starts, if the others end.
        while let Some(job) = running.pop() {
            schedule.end(job.job);
            start(&mut schedule, &mut running, &mut queued);
        }
        prop_assert!(queued.is_empty());
    }
}
