# micro: a whole machine in one boot sector, for fleets of cheap emulated guests. 2 MiB of memory, up in 0.2 s, 1 % of a core.
#  - on COM1 and the VGA text screen: "micro boot N" (N is kept in sector 1 of the disk), then "count N" once a second
#  - ACPI power button: "power button", then off (S5)
#  - bytes on COM1: p power off, r reset, c panic (pvpanic, port 0x505), s spin, d rewrite 448 KiB of memory each tick
#    (dirty pages), D stop that
#  - keys are echoed on the screen and as "key X" on COM1
# Built by guest-build.
    .code16
    .globl _start
_start:
    cli
    xorw %ax,%ax
    movw %ax,%ds
    movw %ax,%es
    movw %ax,%ss
    movw $0x7c00,%sp
    movb %dl,drive
    sti
    # COM1 115200 8n1
    movw $0x3fb,%dx ; movb $0x80,%al ; outb %al,%dx
    movw $0x3f8,%dx ; movb $1,%al ; outb %al,%dx
    incw %dx ; xorb %al,%al ; outb %al,%dx
    movw $0x3fb,%dx ; movb $3,%al ; outb %al,%dx
    # PM base: PCI 00:01.3 (PIIX4) or 00:1f.0 (ICH9), register 0x40
    movl $0x80000b40,%eax
    call pcird
    incw %ax
    jnz 1f
    movl $0x8000f840,%eax
    call pcird
    incw %ax
1:  decw %ax
    andw $0xff80,%ax
    movw %ax,pmbase
    movw %ax,%dx
    incw %dx ; incw %dx
    movw $0x0100,%ax            # PM1_EN: power button
    outw %ax,%dx
    # boot counter in sector 1
    movw $0x0201,%ax ; call disk
    incl 0x8000
    movl 0x8000,%eax
    pushl %eax
    movw $0x0301,%ax ; call disk
    movw $msg_boot,%si ; call puts
    popl %eax
    call putn
loop:
    hlt
    # power button?
    movw pmbase,%dx
    inw %dx,%ax
    testb $1,%ah
    jnz off
    # COM1 input
    movw $0x3fd,%dx ; inb %dx,%al
    testb $1,%al
    jz 2f
    movw $0x3f8,%dx ; inb %dx,%al
    cmpb $'p',%al ; je off
    cmpb $'r',%al ; je reset
    cmpb $'s',%al ; je spin
    cmpb $'c',%al ; je crash
    movb %al,dirty
2:  movb $1,%ah ; int $0x16      # keyboard
    jz 3f
    xorb %ah,%ah ; int $0x16
    movb %al,keyc
    movw $msg_key,%si ; call puts
3:  cmpb $'d',dirty
    jne 4f
    movw $0x1000,%ax             # 0x10000..0x80000: 448 KiB
5:  movw %ax,%es
    xorw %di,%di
    movw $0x8000,%cx
    rep stosw
    addb $0x10,%ah
    cmpb $0x80,%ah
    jb 5b
    xorw %ax,%ax ; movw %ax,%es
4:  movl 0x46c,%eax
    subl last,%eax
    cmpl $18,%eax
    jb loop
    addl %eax,last
    movw $msg_count,%si ; call puts
    incl count
    movl count,%eax
    call putn
    jmp loop
off:
    movw $msg_off,%si ; call puts
    movw pmbase,%dx
    addw $4,%dx
    movw $0x2000,%ax
    outw %ax,%dx
    jmp loop
crash:
    movw $0x505,%dx ; movb $1,%al ; outb %al,%dx
    jmp loop
reset:
    movb $0xfe,%al ; outb %al,$0x64
spin:
    jmp spin
pcird:
    movw $0xcf8,%dx ; outl %eax,%dx
    movb $0xfc,%dl ; inl %dx,%eax
    ret
disk:
    movw $0x8000,%bx
    movw $2,%cx
    movb drive,%dl
    xorb %dh,%dh
    int $0x13
    ret
puts:
    lodsb
    testb %al,%al
    jz 1f
    call putc
    jmp puts
1:  ret
putn:                            # eax in decimal, newline
    xorw %cx,%cx
    movl $10,%ebx
1:  xorl %edx,%edx
    divl %ebx
    pushw %dx
    incw %cx
    testl %eax,%eax
    jnz 1b
2:  popw %ax
    addb $'0',%al
    call putc
    loop 2b
    movb $13,%al ; call putc
    movb $10,%al
putc:
    pushw %ax
    movw $0x3f8,%dx
    outb %al,%dx
    movw $7,%bx
    movb $0xe,%ah
    int $0x10
    popw %ax
    ret
msg_boot:  .asciz "micro boot "
msg_count: .asciz "count "
msg_off:   .asciz "power button\r\n"
msg_key:   .ascii "key "
keyc:      .asciz "?\r\n"
drive:     .byte 0
dirty:     .byte 0
pmbase:    .word 0
last:      .long 0
count:     .long 0
    .org _start+440
    .byte 'M','I','C','R',0,0
    .org _start+510
    .word 0xaa55
