use super::*;

/// Runs a program as the kernel would: enough of the instruction set for what is assembled.
fn run(program: &[u64], kind: u32, access: u32, major: u32, minor: u32) -> u64 {
    let context = [access << 16 | kind, major, minor];
    let mut registers = [0u64; 6];
    let mut at = 0usize;
    for _ in 0..program.len() {
        let [code, regs, o0, o1, i0, i1, i2, i3] = program[at].to_ne_bytes();
        let (to, from) = match cfg!(target_endian = "little") {
            true => (usize::from(regs & 15), usize::from(regs >> 4)),
            false => (usize::from(regs >> 4), usize::from(regs & 15)),
        };
        let offset = i16::from_ne_bytes([o0, o1]);
        let immediate = i32::from_ne_bytes([i0, i1, i2, i3]);
        at += 1;
        let jump = |condition: bool| if condition { usize::try_from(offset).unwrap() } else { 0 };
        match code {
            LOAD_WORD => registers[to] = u64::from(context[usize::try_from(offset).unwrap() / 4]),
            AND_IMMEDIATE => registers[to] &= immediate as u64,
            SHIFT_RIGHT => registers[to] >>= immediate,
            MOVE => registers[to] = registers[from],
            MOVE_IMMEDIATE => registers[to] = immediate as u64,
            JUMP_UNEQUAL => at += jump(registers[to] != registers[from]),
            JUMP_UNEQUAL_IMMEDIATE => at += jump(registers[to] != immediate as u64),
            JUMP_EQUAL_IMMEDIATE => at += jump(registers[to] == immediate as u64),
            EXIT => return registers[0],
            other => panic!("opcode {other:#x}"),
        }
    }
    panic!("the program does not end");
}

const BLOCK: u32 = 1;
const CHAR: u32 = 2;
const MKNOD: u32 = 1;
const READ: u32 = 2;
const WRITE: u32 = 4;

#[test]
fn allow_list() {
    let state = Emulator::from_list("c *:* m\nc 1:3 rwm\nc 136:* rw\nb 8:0 r\n").unwrap();
    let program = assemble(&state).unwrap();
    for (kind, access, major, minor, allowed) in [
        (CHAR, MKNOD, 200, 7, 1),
        (CHAR, READ | WRITE, 1, 3, 1),
        (CHAR, READ, 1, 5, 0),
        (CHAR, READ | WRITE, 136, 12, 1),
        (CHAR, READ, 137, 12, 0),
        (BLOCK, READ, 8, 0, 1),
        (BLOCK, READ | WRITE, 8, 0, 0),
        (BLOCK, MKNOD, 8, 0, 0),
        (BLOCK, READ, 1, 3, 0),
    ] {
        let verdict = run(&program, kind, access, major, minor);
        assert_eq!(verdict, allowed, "{kind} {access} {major}:{minor}");
    }
}

#[test]
fn deny_list() {
    let rules = [
        DeviceRule {
            allow: true,
            kind: DeviceKind::All,
            major: None,
            minor: None,
            access: Access::ALL,
        },
        DeviceRule {
            allow: false,
            kind: DeviceKind::Char,
            major: Some(1),
            minor: Some(11),
            access: Access::READ,
        },
    ];
    let program = assemble(&Emulator::from_rules(&rules).unwrap()).unwrap();
    assert_eq!(run(&program, CHAR, READ, 1, 11), 0);
    assert_eq!(run(&program, CHAR, READ | WRITE, 1, 11), 0, "a part is denied, so the whole is");
    assert_eq!(run(&program, CHAR, WRITE, 1, 11), 1);
    assert_eq!(run(&program, CHAR, READ, 1, 3), 1);
    assert_eq!(run(&program, BLOCK, READ, 1, 11), 1);
}

#[test]
fn encoding_is_the_kernels() {
    // What LLVM makes of `w0 = 1`, `exit`, `r2 = *(u32 *)(r1 + 0)` on little endian.
    if cfg!(target_endian = "little") {
        assert_eq!(verdict(true)[0].encode().to_ne_bytes(), [0xb4, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(verdict(true)[1].encode().to_ne_bytes(), [0x95, 0, 0, 0, 0, 0, 0, 0]);
        let load = Instruction::new(LOAD_WORD, KIND, CONTEXT, 4, 0);
        assert_eq!(load.encode().to_ne_bytes(), [0x61, 0x12, 4, 0, 0, 0, 0, 0]);
    }
}
