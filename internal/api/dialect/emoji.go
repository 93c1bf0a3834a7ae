package dialect

// appendCodePoints appends the code points of a flag's emoji: U+1F1FA U+1F1F8.
func appendCodePoints(dst []byte, emoji string) []byte {
	const hex = "0123456789ABCDEF"
	for i, r := range emoji {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, "U+"...)
		shift := 12
		if r > 0xffff {
			shift = 16
		}
		for ; shift >= 0; shift -= 4 {
			dst = append(dst, hex[r>>shift&15])
		}
	}
	return dst
}
