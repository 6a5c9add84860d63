//! Assembles the eBPF program that decides on device access
//! (Documentation/bpf/standardization/instruction-set.rst).
//!
//! The program is called with `struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32
//! minor; }`, where `access_type` is `access << 16 | kind`, and returns 1 to allow. One block for
//! each exception compares and returns; at the end stands the default.

use super::emulator::Emulator;
use super::rule::{Access, DeviceKind, DeviceRule};
use crate::error::{Error, Result};

// Opcodes: class, operation and source.
const LOAD_WORD: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
const AND_IMMEDIATE: u8 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const SHIFT_RIGHT: u8 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
const MOVE: u8 = 0xbc; // BPF_ALU | BPF_MOV | BPF_X
const MOVE_IMMEDIATE: u8 = 0xb4; // BPF_ALU | BPF_MOV | BPF_K
const JUMP_UNEQUAL: u8 = 0x5d; // BPF_JMP | BPF_JNE | BPF_X
const JUMP_UNEQUAL_IMMEDIATE: u8 = 0x55; // BPF_JMP | BPF_JNE | BPF_K
const JUMP_EQUAL_IMMEDIATE: u8 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const EXIT: u8 = 0x95; // BPF_JMP | BPF_EXIT

// Registers: the result, the context, and what is loaded from it.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
/// The context is not needed any more once the values are loaded.
const SCRATCH: u8 = CONTEXT;

/// `struct bpf_insn`.
#[derive(Clone, Copy)]
struct Instruction {
    code: u8,
    to: u8,
    from: u8,
    offset: i16,
    immediate: i32,
}

impl Instruction {
    const fn new(code: u8, to: u8, from: u8, offset: i16, immediate: i32) -> Self {
        Self { code, to, from, offset, immediate }
    }

    /// In memory: code, registers (the target in the bit field's first half), offset, immediate.
    fn encode(self) -> u64 {
        let registers = match cfg!(target_endian = "little") {
            true => self.to | self.from << 4,
            false => self.from | self.to << 4,
        };
        let [o0, o1] = self.offset.to_ne_bytes();
        let [i0, i1, i2, i3] = self.immediate.to_ne_bytes();
        u64::from_ne_bytes([self.code, registers, o0, o1, i0, i1, i2, i3])
    }

    fn is_jump(self) -> bool {
        matches!(self.code, JUMP_UNEQUAL | JUMP_UNEQUAL_IMMEDIATE | JUMP_EQUAL_IMMEDIATE)
    }
}

/// The program for a state, one `u64` for each instruction.
pub(super) fn assemble(state: &Emulator) -> Result<Vec<u64>> {
    let mut program = vec![
        Instruction::new(LOAD_WORD, KIND, CONTEXT, 0, 0),
        Instruction::new(AND_IMMEDIATE, KIND, 0, 0, 0xffff),
        Instruction::new(LOAD_WORD, ACCESS, CONTEXT, 0, 0),
        Instruction::new(SHIFT_RIGHT, ACCESS, 0, 0, 16),
        Instruction::new(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        Instruction::new(LOAD_WORD, MINOR, CONTEXT, 8, 0),
    ];
    for rule in state.exceptions() {
        program.extend(block(&rule)?);
    }
    program.extend(verdict(state.allows_by_default()));
    Ok(program.into_iter().map(Instruction::encode).collect())
}

/// Compares with one rule: jumps behind the block on the first difference, else returns.
fn block(rule: &DeviceRule) -> Result<Vec<Instruction>> {
    let unequal = |register, value| Instruction::new(JUMP_UNEQUAL_IMMEDIATE, register, 0, 0, value);
    let kind = match rule.kind {
        DeviceKind::Block => 1, // BPF_DEVCG_DEV_BLOCK
        DeviceKind::Char => 2,  // BPF_DEVCG_DEV_CHAR
        DeviceKind::All => {
            return Err(Error::DeviceRule(format!("rule [{rule}] is a default, no exception")));
        }
    };
    let mut block = vec![unequal(KIND, kind)];
    if rule.access != Access::ALL {
        block.extend([
            Instruction::new(MOVE, SCRATCH, ACCESS, 0, 0),
            Instruction::new(AND_IMMEDIATE, SCRATCH, 0, 0, access_bits(rule.access)),
            match rule.allow {
                // Allowed is only what lies wholly within the rule ...
                true => Instruction::new(JUMP_UNEQUAL, SCRATCH, ACCESS, 0, 0),
                // ... and denied what overlaps with it.
                false => Instruction::new(JUMP_EQUAL_IMMEDIATE, SCRATCH, 0, 0, 0),
            },
        ]);
    }
    for (register, number) in [(MAJOR, rule.major), (MINOR, rule.minor)] {
        let Some(number) = number else { continue };
        let number = i32::try_from(number).map_err(|_| {
            Error::DeviceRule(format!("rule [{rule}]: {number} is no device number"))
        })?;
        block.push(unequal(register, number));
    }
    block.extend(verdict(rule.allow));
    // Each jump leads to the instruction after the block, counted from the one after the jump.
    let length = block.len();
    for (index, instruction) in block.iter_mut().enumerate() {
        if instruction.is_jump() {
            instruction.offset = i16::try_from(length - index - 1).unwrap_or(i16::MAX);
        }
    }
    Ok(block)
}

fn verdict(allow: bool) -> [Instruction; 2] {
    [
        Instruction::new(MOVE_IMMEDIATE, RESULT, 0, 0, i32::from(allow)),
        Instruction::new(EXIT, 0, 0, 0, 0),
    ]
}

/// The kernel's bits: mknod 1, read 2, write 4 (BPF_DEVCG_ACC_*).
fn access_bits(access: Access) -> i32 {
    [(Access::MKNOD, 1), (Access::READ, 2), (Access::WRITE, 4)]
        .into_iter()
        .filter(|(kind, _)| access.contains(*kind))
        .map(|(_, bit)| bit)
        .sum()
}

#[cfg(test)]
mod tests;
