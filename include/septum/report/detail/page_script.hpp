#pragma once
#include <septum/core/config.hpp>

#include <string_view>

namespace septum::inline SEPTUM_ABI::report::detail {

/// Behaviour of the page. The data of the frame viewer stand in the element #frames as JSON:
/// {interval, palette, frames: [{name, number, image, probability, cells: [[label, track, colour,
/// area, rate, path], ...]}, ...]}; colour is an index into the palette, -1 for not known.
inline constexpr std::string_view page_script = R"js(
"use strict";
(function(){
var byId=function(id){return document.getElementById(id)};
var all=function(query){return Array.prototype.slice.call(document.querySelectorAll(query))};
var root=document.documentElement;
var picked=null;
var seen=[];

function dark(){
  var set=root.getAttribute("data-theme");
  if(set)return set==="dark";
  return window.matchMedia&&window.matchMedia("(prefers-color-scheme: dark)").matches;
}
function toggleTheme(){root.setAttribute("data-theme",dark()?"light":"dark")}
byId("theme").addEventListener("click",toggleTheme);

all("figure[data-save]").forEach(function(figure){
  var button=document.createElement("button");
  button.className="save";button.type="button";button.textContent="SVG";
  button.title="Save this figure as an SVG file";
  button.addEventListener("click",function(){
    var text=new XMLSerializer().serializeToString(figure.querySelector("svg"));
    var link=document.createElement("a");
    link.href=URL.createObjectURL(new Blob([text],{type:"image/svg+xml"}));
    link.download=figure.getAttribute("data-save")+".svg";
    link.click();
    setTimeout(function(){URL.revokeObjectURL(link.href)},1000);
  });
  figure.appendChild(button);
});

function pick(track){
  picked=track;
  all("figure svg").forEach(function(svg){
    if(!svg.querySelector("[data-track]"))return;
    svg.classList.toggle("picked",track!==null);
  });
  all("figure [data-track].picked").forEach(function(e){e.classList.remove("picked")});
  if(track!==null)all("figure [data-track=\""+track+"\"]").forEach(function(e){
    e.classList.add("picked");
  });
  seen.forEach(function(f){f()});
}
all("figure [data-track]").forEach(function(e){
  e.addEventListener("click",function(){
    var track=Number(e.getAttribute("data-track"));
    pick(track===picked?null:track);
  });
});

var store=byId("frames");
if(!store)return;
var data=JSON.parse(store.textContent);
var frames=data.frames,now=0,timer=null,show={outlines:true,growth:false,probability:false};
var stage=byId("stage"),image=byId("image"),over=byId("over"),cells=byId("cells");
var slider=byId("slider"),where=byId("where");
var SVG="http://www.w3.org/2000/svg";
// Okabe and Ito, without black: neighbours differ for any kind of colour vision.
var inks=["#56B4E9","#E69F00","#009E73","#F0E442","#CC79A7","#D55E00","#9ad0f5"];

function number(value,digits){return value===null?"–":value.toFixed(digits)}
function describe(){
  var here=frames[now],found=null;
  here.cells.forEach(function(c){if(picked!==null&&c[1]===picked)found=c});
  byId("cell-track").textContent=picked===null?"none":picked;
  byId("cell-label").textContent=found?found[0]:"–";
  byId("cell-area").textContent=found?number(found[3],2):"–";
  byId("cell-rate").textContent=found?number(found[4],2):"–";
  byId("frame-cells").textContent=here.cells.length;
}
function draw(){
  var here=frames[now];
  image.src=here.image;
  if(here.probability)over.src=here.probability;
  over.style.display=show.probability&&here.probability?"block":"none";
  while(cells.firstChild)cells.removeChild(cells.firstChild);
  here.cells.forEach(function(c){
    var path=document.createElementNS(SVG,"path");
    path.setAttribute("d",c[5]);
    path.setAttribute("fill-rule","evenodd");
    path.style.stroke=inks[Math.abs(c[1])%inks.length];
    if(show.growth)path.style.fill=c[2]<0?"#9a9a9a":data.palette[c[2]];
    if(c[1]===picked)path.setAttribute("class","picked");
    path.addEventListener("click",function(){pick(c[1]===picked?null:c[1])});
    var title=document.createElementNS(SVG,"title");
    title.textContent="track "+c[1]+", cell "+c[0];
    path.appendChild(title);
    cells.appendChild(path);
  });
  stage.classList.toggle("filled",show.growth);
  stage.classList.toggle("plain",!show.outlines);
  slider.value=now;
  var hours=here.number*data.interval/60;
  where.textContent="frame "+here.number+" of "+frames[frames.length-1].number+
    (data.interval>0?", "+hours.toFixed(2)+" h":"");
  slider.setAttribute("aria-valuetext",where.textContent);
  ["outlines","growth","probability"].forEach(function(k){
    var button=byId("show-"+k);
    if(button)button.setAttribute("aria-pressed",show[k]?"true":"false");
  });
  describe();
}
seen.push(draw);
function go(frame){now=Math.max(0,Math.min(frames.length-1,frame));draw()}
function stop(){
  if(timer!==null){clearInterval(timer);timer=null}
  byId("play").textContent="Play";
}
function play(){
  if(timer!==null){stop();return}
  byId("play").textContent="Stop";
  if(now===frames.length-1)now=0;
  timer=setInterval(function(){
    if(now>=frames.length-1){stop();return}
    go(now+1);
  },150);
}
function flip(what){show[what]=!show[what];draw()}
slider.addEventListener("input",function(){stop();go(Number(slider.value))});
byId("play").addEventListener("click",play);
["outlines","growth","probability"].forEach(function(k){
  var button=byId("show-"+k);
  if(button)button.addEventListener("click",function(){flip(k)});
});
document.addEventListener("keydown",function(event){
  if(event.ctrlKey||event.metaKey||event.altKey)return;
  var tag=event.target.tagName;
  if((tag==="INPUT"&&event.target!==slider)||tag==="TEXTAREA")return;
  var key=event.key,step=event.shiftKey?10:1;
  if(key==="ArrowRight"){stop();go(now+step)}
  else if(key==="ArrowLeft"){stop();go(now-step)}
  else if(key==="Home"){stop();go(0)}
  else if(key==="End"){stop();go(frames.length-1)}
  else if(key===" "&&tag!=="BUTTON"&&tag!=="SUMMARY")play();
  else if(key==="o"||key==="O")flip("outlines");
  else if(key==="g"||key==="G")flip("growth");
  else if((key==="p"||key==="P")&&byId("show-probability"))flip("probability");
  else if(key==="t"||key==="T")toggleTheme();
  else if(key==="Escape")pick(null);
  else return;
  event.preventDefault();
});
all(".gallery button[data-frame]").forEach(function(button){
  button.addEventListener("click",function(){
    var wanted=Number(button.getAttribute("data-frame"));
    var index=0;
    frames.forEach(function(f,i){if(f.number===wanted)index=i});
    stop();
    now=index;
    pick(Number(button.getAttribute("data-pick")));
    byId("movie").scrollIntoView();
  });
});
draw();
})();
)js";

}  // namespace septum::inline SEPTUM_ABI::report::detail
