class Model(Module):
  __parameters__ = []
  def forward(self: __torch__.Model,
    x: Tensor) -> Tensor:
    n = torch.size(x, -1)
    parts = annotate(List[Tensor], [])
    for i in range(3):
      _0 = torch.append(parts, torch.mul(x, torch.add(i, 1)))
    y = torch.cat(parts, 1)
    if torch.gt(n, 8):
      z = torch.conv1d(y, torch.ones([4, 3, 3]), None, [2], [1], [1])
    else:
      z = torch.slice(y, 1, 0, 2)
    a, b, = torch.chunk(z, 2, 1)
    g = torch.mul(torch.tanh(a), torch.sigmoid(b))
    h = torch.reshape(torch.permute(g, [0, 2, 1]), [1, 1, -1])
    w = torch.pad(torch.slice(h, -1, 4, torch.neg(4)), [4, 4], "reflect", None)
    return torch.add(w, (self).shape(x, "{} frames"), alpha=0.5)
  def shape(self: __torch__.Model,
    x: Tensor,
    message: str="none") -> Tensor:
    _1 = torch.format(message, torch.size(x))
    i = 0
    while torch.lt(i, 2):
      i = torch.add(i, 1)
    y = torch.repeat_interleave(torch.avg_pool1d(x, [2]), 2, -1)
    return torch.unsqueeze(torch.squeeze(torch.add_(y, i), 0), 0)
