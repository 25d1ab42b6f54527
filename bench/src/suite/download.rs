//! A large result, read over and over, beside nginx with the same file on the same disk.

use crate::{
    options::Scale,
    places::Places,
    series::{Contender, Sample, take_turns},
    service::{Service, client::Connection, fresh_home, guests, job, nginx::Nginx},
    table::{Row, Target},
};
use anyhow::{Context as _, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

/// How much memory a service may need more because a client reads a large result, in MiB.
const MOST_MIB: f64 = 16.0;

pub(super) fn measure(places: &Places, scale: Scale) -> Result<Vec<Row>> {
    let bytes = scale.bytes();
    let home = fresh_home(places, "download")?;
    let service = Service::start(places, &home, &[])?;
    let (did, program) = (service.publish_small()?, service.upload(&guests::write(bytes >> 20)?)?);
    let id = service.finish(&job(&did, &program))?;
    let path = format!("/v1/jobs/{id}/results/0");

    let mut buffer = vec![0; 256 << 10];
    let mut connection = service.connect()?;
    // The head of a request, the first pages of a buffer: what the first download needs anyhow.
    connection.discard(&path, &mut buffer)?;
    let resident = service.resident()?;

    let stored = largest(&home.join("results"))?;
    let nginx = Nginx::start(places, stored.parent().context("a folder")?);
    let name = stored.file_name().and_then(|name| name.to_str()).context("a file name")?;
    let rounds = scale.repetitions(7);
    let mut rows = Vec::new();
    match nginx {
        Err(why) => {
            let [ours] =
                take_turns(rounds, [Contender::new("service", || read(&mut connection, &path, bytes, &mut buffer))])?;
            rows.push(Row::seconds("download", &ours, ours.whole()));
            rows.push(Row::without("download beside nginx", format!("{why:#}")));
        }
        Ok(nginx) => {
            let mut theirs = Connection::open(nginx.address, "")?;
            let (mut room, name) = (buffer.clone(), format!("/{name}"));
            let turns = [
                Contender::new("service", || read(&mut connection, &path, bytes, &mut buffer)),
                Contender::new("nginx", || read(&mut theirs, &name, bytes, &mut room)),
            ];
            let [ours, theirs] = take_turns(rounds, turns)?;
            let what = format!("download of {} MiB, speed beside nginx", bytes >> 20);
            rows.push(Row::speed(what, (&ours, ours.whole()), (&theirs, theirs.whole())).target(Target::AtLeast(0.5)));
        }
    }
    let more = service.peak_resident()?.saturating_sub(resident);
    let detail = format!("{} MiB before, after one download; most ever beside it", resident >> 20);
    rows.push(Row::memory("memory that downloads add", more, detail).target(Target::AtMost(MOST_MIB)));
    Ok(rows)
}

fn read(connection: &mut Connection, path: &str, bytes: u64, buffer: &mut [u8]) -> Result<Sample> {
    let since = Instant::now();
    let read = connection.discard(path, buffer)?;
    ensure!(read == bytes, "{read} bytes of {bytes}");
    Ok(Sample { whole: since.elapsed().as_secs_f64(), ..Sample::default() })
}

/// The largest file below a folder.
fn largest(folder: &Path) -> Result<PathBuf> {
    let (mut largest, mut open) = ((0, None), vec![folder.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                open.push(entry.path());
            } else if metadata.len() > largest.0 {
                largest = (metadata.len(), Some(entry.path()));
            }
        }
    }
    largest.1.context("a result")
}
