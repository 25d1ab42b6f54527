/// How the container of an algorithm ended, as the exit code of its process 1 says. It is the only word of such a container that
/// counts: everything else in it, the algorithm could have written.
///
/// An algorithm chooses among [`ContainerEnd::Exited`] and [`ContainerEnd::Signal`], and reaches no other end by what it returns:
/// what it returns beyond 199 becomes a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContainerEnd {
    /// The program exited with this code, at most 199.
    Exited(u8),
    /// This signal ended the program, at most 31; 0: it is not known which.
    Signal(u8),
    /// The run was begun before, and is not begun twice.
    BegunBefore,
    /// A wall that has to be there could not be put up. The program was not started.
    NoWall,
    /// The image has no such program, or one that cannot be executed.
    NoProgram,
    /// The command is invalid.
    NoCommand,
    /// It ran for longer than it may.
    WallTime,
    /// The machine took memory back from it.
    Memory,
    /// Process 1 could not do its work.
    HostFault,
}

impl ContainerEnd {
    /// What the exit code of a program means.
    #[must_use]
    pub fn exited(code: u8) -> Self {
        match code {
            // What a shell says of a child that a signal ended. Process 1 ends so itself if it is ended from outside.
            137 | 143 => Self::Signal(code - 128),
            0..200 => Self::Exited(code),
            _ => Self::Signal(0),
        }
    }

    /// The exit code of process 1.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Exited(code) => match Self::exited(code) {
                Self::Exited(code) => code,
                other => other.code(),
            },
            Self::Signal(signal) => 200 + signal.min(31),
            Self::BegunBefore => 240,
            Self::NoWall => 241,
            Self::NoProgram => 242,
            Self::NoCommand => 243,
            Self::WallTime => 244,
            Self::Memory => 245,
            Self::HostFault => 246,
        }
    }

    /// What an exit code of process 1 says; none: it was ended from outside, before it could say anything.
    #[must_use]
    pub fn of(code: i32) -> Option<Self> {
        let code = u8::try_from(code).ok()?;
        Some(match code {
            137 | 143 => return None,
            0..200 => Self::Exited(code),
            200..=231 => Self::Signal(code - 200),
            240 => Self::BegunBefore,
            241 => Self::NoWall,
            242 => Self::NoProgram,
            243 => Self::NoCommand,
            244 => Self::WallTime,
            245 => Self::Memory,
            246 => Self::HostFault,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_reaches_no_end_but_its_own() {
        for code in 0..=255 {
            let end = ContainerEnd::exited(code);
            assert!(matches!(end, ContainerEnd::Exited(_) | ContainerEnd::Signal(_)), "{code}: {end:?}");
            assert_eq!(ContainerEnd::of(i32::from(end.code())), Some(end), "{code}");
            // Only a program that succeeded looks like one.
            assert_eq!(end.code() == 0, code == 0, "{code}");
            assert_eq!(ContainerEnd::Exited(code).code(), end.code(), "{code}");
        }
        for signal in 0..=64 {
            let end = ContainerEnd::Signal(signal);
            assert!(matches!(ContainerEnd::of(i32::from(end.code())), Some(ContainerEnd::Signal(_))), "{signal}");
        }
    }

    #[test]
    fn every_end_has_a_code_of_its_own() {
        use ContainerEnd::*;
        let all =
            [BegunBefore, NoWall, NoProgram, NoCommand, WallTime, Memory, HostFault, Exited(0), Exited(1), Signal(9)];
        for end in all {
            assert_eq!(ContainerEnd::of(i32::from(end.code())), Some(end));
        }
        for outside in [137, 143, 232, 239, 247, 255, 256, -1] {
            assert_eq!(ContainerEnd::of(outside), None, "{outside}");
        }
    }
}
