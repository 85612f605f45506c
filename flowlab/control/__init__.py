"""Operations that stand above differentiation: what needs gradients of its own parts."""
