/* Names of the operations and modifiers that the interpreter knows. Python asks the library for these lists, so
   that numbers are agreed on in one place. A uniform instruction (UIADD3) is its counterpart with other registers. */
#pragma once

#define OPERATIONS(X)                                                                                             \
    X(IADD3) X(IMAD) X(LEA) X(SHF) X(LOP3) X(ISETP) X(SEL) X(PRMT) X(MOV) X(VIADD) X(VIADDMNMX) X(VIMNMX)         \
    X(VIMNMX3) X(IABS) X(POPC) X(FLO) X(BREV) X(IDP) X(PLOP3) X(P2R) X(R2P) X(FADD) X(FMUL) X(FFMA) X(FMNMX) X(FMNMX3)      \
    X(FSETP) X(FSET) X(FSEL) X(FCHK) X(MUFU) X(DADD) X(DMUL) X(DFMA) X(DSETP) X(HADD2) X(HMUL2) X(HFMA2) X(I2F) X(F2I)    \
    X(F2F) X(FRND) X(F2FP) X(S2R) X(CS2R) X(R2UR) X(B2R) X(LDC) X(LDG) X(STG) X(LD) X(ST) X(LDS) X(STS) X(LDL)    \
    X(STL) X(LDGSTS) X(LDSM) X(ATOMG) X(REDG) X(ATOMS) X(SHFL) X(VOTE) X(REDUX) X(HMMA) X(IMMA) X(BMMA) X(BRA)    \
    X(BRX) X(CALL) X(RET) X(EXIT) X(BSSY) X(BSYNC) X(BREAK) X(WARPSYNC) X(BAR) X(YIELD) X(NOP)

#define MODIFIERS(X)                                                                                              \
    X(X) X(EX) X(U8) X(S8) X(U16) X(S16) X(U32) X(S32) X(U64) X(S64) X(F16) X(F32) X(F64) X(HI) X(L) X(R) X(W)    \
    X(WIDE) X(SX32) X(AND) X(OR) X(XOR) X(EQ) X(NE) X(LT) X(LE) X(GT) X(GE) X(EQU) X(NEU) X(LTU) X(LEU) X(GTU)    \
    X(GEU) X(NUM) X(NAN) X(MIN) X(MAX) X(FTZ) X(SAT) X(RZ) X(RM) X(RP) X(D2) X(D4) X(D8) X(16x2) X(S16x2) X(RELU)       \
    X(TRUNC) X(FLOOR) X(CEIL) X(RCP) X(RSQ) X(EX2) X(LG2) X(SIN) X(COS) X(SQRT) X(TANH) X(RCP64H) X(RSQ64H)       \
    X(BFLY) X(IDX) X(UP) X(DOWN) X(ANY) X(ALL) X(ADD) X(CAS) X(EXCH) X(INC) X(SUM) X(SH) X(DIV) X(CONV) X(RED)            \
    X(COLLECTIVE) X(32) X(64) X(128)
