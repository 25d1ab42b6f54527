use super::errno::Code;

/// The guest's memory, with checked access. An access outside of it fails with `EFAULT`.
pub(super) struct GuestMemory<'a>(pub(super) &'a mut [u8]);

impl GuestMemory<'_> {
    pub(super) fn bytes(&self, pointer: u32, length: u32) -> Result<&[u8], Code> {
        self.0.get(pointer as usize..).and_then(|rest| rest.get(..length as usize)).ok_or(Code::FAULT)
    }

    pub(super) fn bytes_mut(&mut self, pointer: u32, length: u32) -> Result<&mut [u8], Code> {
        self.0.get_mut(pointer as usize..).and_then(|rest| rest.get_mut(..length as usize)).ok_or(Code::FAULT)
    }

    fn array<const N: usize>(&self, pointer: u32) -> Result<[u8; N], Code> {
        self.0.get(pointer as usize..).and_then(<[u8]>::first_chunk).copied().ok_or(Code::FAULT)
    }

    pub(super) fn u8(&self, pointer: u32) -> Result<u8, Code> {
        self.array::<1>(pointer).map(|[byte]| byte)
    }

    pub(super) fn u16(&self, pointer: u32) -> Result<u16, Code> {
        self.array(pointer).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&self, pointer: u32) -> Result<u32, Code> {
        self.array(pointer).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&self, pointer: u32) -> Result<u64, Code> {
        self.array(pointer).map(u64::from_le_bytes)
    }

    pub(super) fn write(&mut self, pointer: u32, bytes: &[u8]) -> Result<(), Code> {
        self.0
            .get_mut(pointer as usize..)
            .and_then(|rest| rest.get_mut(..bytes.len()))
            .ok_or(Code::FAULT)?
            .copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn write_u32(&mut self, pointer: u32, value: u32) -> Result<(), Code> {
        self.write(pointer, &value.to_le_bytes())
    }

    pub(super) fn write_u64(&mut self, pointer: u32, value: u64) -> Result<(), Code> {
        self.write(pointer, &value.to_le_bytes())
    }

    /// Element `index` of an array at `pointer`.
    pub(super) fn element(pointer: u32, index: u32, size: u32) -> Result<u32, Code> {
        index.checked_mul(size).and_then(|offset| pointer.checked_add(offset)).ok_or(Code::FAULT)
    }
}
