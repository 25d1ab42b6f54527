//! Arguments, environment, clocks, randomness, and the refused socket functions.

use super::{
    abi::{CLOCK_MONOTONIC, CLOCK_REALTIME},
    errno::Code,
    memory::GuestMemory,
};
use crate::guest::Guest;

type Answer = Result<(), Code>;

/// Writes the sizes of a list of C strings.
fn write_sizes(memory: &mut GuestMemory<'_>, lengths: impl Iterator<Item = usize>, count: u32, bytes: u32) -> Answer {
    let (number, total) = lengths.fold((0_u64, 0_u64), |(n, sum), length| (n + 1, sum + length as u64 + 1));
    memory.write_u32(count, u32::try_from(number).map_err(|_| Code::OVERFLOW)?)?;
    memory.write_u32(bytes, u32::try_from(total).map_err(|_| Code::OVERFLOW)?)
}

/// Writes a list of C strings: pointers at `array`, text at `buffer`.
fn write_strings<'a>(
    memory: &mut GuestMemory<'_>,
    strings: impl Iterator<Item = [&'a str; 3]>,
    array: u32,
    buffer: u32,
) -> Answer {
    let (mut slot, mut text) = (array, buffer);
    for parts in strings {
        memory.write_u32(slot, text)?;
        slot = slot.checked_add(4).ok_or(Code::FAULT)?;
        for part in parts.iter().copied().chain(["\0"]) {
            memory.write(text, part.as_bytes())?;
            text = u32::try_from(part.len()).ok().and_then(|n| text.checked_add(n)).ok_or(Code::FAULT)?;
        }
    }
    Ok(())
}

impl Guest {
    pub(super) fn args_sizes_get(&mut self, memory: &mut GuestMemory<'_>, count: u32, bytes: u32) -> Answer {
        write_sizes(memory, self.arguments.iter().map(String::len), count, bytes)
    }

    pub(super) fn args_get(&mut self, memory: &mut GuestMemory<'_>, argv: u32, buffer: u32) -> Answer {
        write_strings(memory, self.arguments.iter().map(|argument| [argument.as_str(), "", ""]), argv, buffer)
    }

    pub(super) fn environ_sizes_get(&mut self, memory: &mut GuestMemory<'_>, count: u32, bytes: u32) -> Answer {
        let lengths = self.environment.iter().map(|(name, value)| name.len() + 1 + value.len());
        write_sizes(memory, lengths, count, bytes)
    }

    pub(super) fn environ_get(&mut self, memory: &mut GuestMemory<'_>, environ: u32, buffer: u32) -> Answer {
        let strings = self.environment.iter().map(|(name, value)| [name.as_str(), "=", value.as_str()]);
        write_strings(memory, strings, environ, buffer)
    }

    pub(super) fn clock_res_get(&mut self, memory: &mut GuestMemory<'_>, id: u32, out: u32) -> Answer {
        match id {
            CLOCK_REALTIME | CLOCK_MONOTONIC => memory.write_u64(out, self.clock.resolution()),
            _ => Err(Code::INVALID),
        }
    }

    pub(super) fn clock_time_get(&mut self, memory: &mut GuestMemory<'_>, id: u32, _: u64, out: u32) -> Answer {
        let nanos = match id {
            CLOCK_REALTIME => u64::try_from(self.clock.wall().as_nanos()).map_err(|_| Code::OVERFLOW)?,
            CLOCK_MONOTONIC => self.clock.monotonic(),
            _ => return Err(Code::INVALID),
        };
        memory.write_u64(out, nanos)
    }

    pub(super) fn random_get(&mut self, memory: &mut GuestMemory<'_>, buffer: u32, length: u32) -> Answer {
        self.random.fill(memory.bytes_mut(buffer, length)?);
        Ok(())
    }

    /// Some toolchains import these functions into every program. There are no sockets, so every call fails.
    fn no_socket(&self, fd: u32) -> Answer {
        self.descriptors.get(fd)?;
        Err(Code::NOT_A_SOCKET)
    }

    pub(super) fn sock_accept(&mut self, _: &mut GuestMemory<'_>, fd: u32, _: u32, _: u32) -> Answer {
        self.no_socket(fd)
    }

    #[expect(clippy::too_many_arguments, reason = "the specification's parameters")]
    pub(super) fn sock_recv(
        &mut self,
        _: &mut GuestMemory<'_>,
        fd: u32,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
    ) -> Answer {
        self.no_socket(fd)
    }

    pub(super) fn sock_send(&mut self, _: &mut GuestMemory<'_>, fd: u32, _: u32, _: u32, _: u32, _: u32) -> Answer {
        self.no_socket(fd)
    }

    pub(super) fn sock_shutdown(&mut self, _: &mut GuestMemory<'_>, fd: u32, _: u32) -> Answer {
        self.no_socket(fd)
    }
}
