//! What the tests compress. Always the same.

/// Bytes that look random (xorshift64).
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Numbers, one after the other.
pub(crate) fn text(len: usize) -> Vec<u8> {
    (0..len)
        .flat_map(|n| n.to_string().into_bytes())
        .take(len)
        .collect()
}

/// Some bytes that compress about as well as programs do: words, numbers, zeros, and what
/// was there before at all distances.
pub(crate) fn program(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9u32;
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        match state % 4 {
            0 => bytes.extend_from_slice(&state.to_le_bytes()),
            1 => bytes.extend_from_slice(b"the same words again and again "),
            2 => bytes.extend(std::iter::repeat_n(0, (state >> 26) as usize)),
            _ => {
                let from = bytes.len().saturating_sub((state >> 12) as usize % 40_000);
                let to = bytes.len().min(from + (state >> 24) as usize % 60);
                bytes.extend_from_within(from..to);
            }
        }
    }
    bytes.truncate(len);
    bytes
}

/// One kind after the other, so that blocks of all kinds are needed.
pub(crate) fn mixed() -> Vec<u8> {
    let mut bytes = text(300_000);
    bytes.extend(noise(200_000));
    bytes.extend(program(700_000));
    bytes.extend(vec![0; 100_000]);
    bytes.extend(noise(70_000));
    bytes.extend(text(1000));
    bytes
}
