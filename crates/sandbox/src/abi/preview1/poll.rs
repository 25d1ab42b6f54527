use super::{
    abi::{CLOCK_MONOTONIC, CLOCK_REALTIME, EVENT_BYTES, MAX_SUBSCRIPTIONS, SUBSCRIPTION_BYTES},
    descriptors::Descriptor,
    errno::Code,
    memory::GuestMemory,
};
use crate::{fs::FileKind, guest::Guest};

const EVENT_CLOCK: u8 = 0;
const EVENT_READ: u8 = 1;
const EVENT_WRITE: u8 = 2;
/// `subclockflags.abstime`.
const ABSOLUTE: u16 = 1;

/// When a subscription is ready: after some nanoseconds, or at once with a result.
enum Due {
    In(u64),
    Now { code: Option<Code>, bytes: u64 },
}

impl Guest {
    /// Files and standard streams are always ready, so a poll either returns at once or sleeps until its first clock.
    pub(super) fn poll_oneoff(
        &mut self,
        memory: &mut GuestMemory<'_>,
        subscriptions: u32,
        events: u32,
        count: u32,
        out: u32,
    ) -> Result<(), Code> {
        if count == 0 || count > MAX_SUBSCRIPTIONS {
            return Err(Code::INVALID);
        }
        let mut dues = Vec::with_capacity(count as usize);
        for index in 0..count {
            let at = GuestMemory::element(subscriptions, index, SUBSCRIPTION_BYTES)?;
            // Before the other reads: this checks that the whole subscription lies in memory.
            let due = self.due(memory, at)?;
            dues.push((memory.u64(at)?, memory.u8(at + 8)?, due));
        }
        let wait = dues.iter().map(|(_, _, due)| if let Due::In(nanos) = due { *nanos } else { 0 }).min().unwrap_or(0);
        if wait > 0 {
            self.clock.sleep(wait);
        }
        let mut written = 0;
        for (user_data, kind, due) in dues {
            let (code, bytes) = match due {
                Due::In(nanos) if nanos > wait => continue,
                Due::In(_) => (None, 0),
                Due::Now { code, bytes } => (code, bytes),
            };
            let at = GuestMemory::element(events, written, EVENT_BYTES)?;
            memory.write(at, &[0; EVENT_BYTES as usize])?;
            memory.write_u64(at, user_data)?;
            memory.write(at + 8, &code.map_or(0, |Code(code)| code).to_le_bytes())?;
            memory.write(at + 10, &[kind])?;
            memory.write_u64(at + 16, bytes)?;
            written += 1;
        }
        memory.write_u32(out, written)
    }

    fn due(&mut self, memory: &GuestMemory<'_>, at: u32) -> Result<Due, Code> {
        // The whole subscription lies in memory, so these offsets cannot overflow.
        memory.bytes(at, SUBSCRIPTION_BYTES)?;
        match memory.u8(at + 8)? {
            EVENT_CLOCK => {
                let (timeout, flags) = (memory.u64(at + 24)?, memory.u16(at + 40)?);
                let now = match memory.u32(at + 16)? {
                    CLOCK_REALTIME => u64::try_from(self.clock.wall().as_nanos()).unwrap_or(u64::MAX),
                    CLOCK_MONOTONIC => self.clock.monotonic(),
                    _ => return Ok(Due::Now { code: Some(Code::INVALID), bytes: 0 }),
                };
                Ok(Due::In(if flags & ABSOLUTE == 0 { timeout } else { timeout.saturating_sub(now) }))
            }
            EVENT_READ | EVENT_WRITE => {
                let descriptor = match self.descriptors.get(memory.u32(at + 16)?) {
                    Ok(descriptor) => descriptor,
                    Err(code) => return Ok(Due::Now { code: Some(code), bytes: 0 }),
                };
                let bytes = match descriptor {
                    Descriptor::File(file) => match self.files.stat(file.handle) {
                        Ok(stat) => match stat.kind {
                            FileKind::File { size } => size.saturating_sub(file.offset),
                            FileKind::Directory | FileKind::Link { .. } | FileKind::Device => 0,
                        },
                        Err(errno) => return Ok(Due::Now { code: Some(errno.into()), bytes: 0 }),
                    },
                    _ => 0,
                };
                Ok(Due::Now { code: None, bytes })
            }
            _ => Err(Code::INVALID),
        }
    }
}
